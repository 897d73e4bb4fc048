//! Everything that calls a function calls a published version of it, by its alias, so that a
//! deployment can be taken back. A version is a copy of code and configuration: what is changed and
//! not published reaches nobody.

use std::collections::BTreeSet;

use resources::{Template, list, section, target};
use serde_json::Value;

/// Parameters that do not change on AWS: what depends on them is for the embedded AWS.
const LOCAL: [&str; 2] = ["Stage", "EndpointUrl"];

/// Properties of a function that are not part of its versions, or that list what is.
const NOT_PUBLISHED: [&str; 3] =
    ["ReservedConcurrentExecutions", "DeploymentPreference", "VersionDescription"];

/// The longest description of a version.
const LONGEST_DESCRIPTION: u64 = 256;

/// Collects the parameters on whose values a part of the template depends.
fn collect_parameters(part: &Value, parameters: &mut BTreeSet<String>) {
    let is_parameter = |name: &str| section("Parameters").get(name).is_some();
    match part {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("!Ref", Value::String(name)) if is_parameter(name) => {
                        parameters.insert(name.clone());
                    }
                    ("!Sub", Value::String(text)) => {
                        let names = text.split("${").skip(1).filter_map(|it| it.split('}').next());
                        parameters.extend(names.filter(|it| is_parameter(it)).map(str::to_owned));
                    }
                    ("!If", Value::Array(arguments)) => {
                        collect_of_condition(&arguments[0], parameters);
                        arguments[1..].iter().for_each(|it| collect_parameters(it, parameters));
                    }
                    _ => collect_parameters(value, parameters),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_parameters(item, parameters)),
        _ => {}
    }
}

fn collect_of_condition(name: &Value, parameters: &mut BTreeSet<String>) {
    let condition = &section("Conditions")[name.as_str().expect("a condition's name")];
    collect_parameters(condition, parameters);
    for part in condition.as_object().into_iter().flat_map(|it| it.values()).flat_map(list) {
        if let Some(other) = part.get("!Condition") {
            collect_of_condition(other, parameters);
        }
    }
}

/// The functions with their properties as they are written.
fn functions() -> Vec<(String, Value)> {
    let Value::Object(resources) = section("Resources") else { panic!("no resources") };
    let mut functions: Vec<_> = resources.into_iter().collect();
    functions.retain(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
    functions.into_iter().map(|(id, mut it)| (id, it["Properties"].take())).collect()
}

#[test]
fn a_change_of_code_of_a_property_or_of_a_parameter_publishes_a_version() {
    let globals = &section("Globals")["Function"];
    assert_eq!(globals["AutoPublishAlias"], "live");
    for (function, mut properties) in functions() {
        assert_eq!(properties["AutoPublishAliasAllProperties"], true, "{function}");
        let mut listed = BTreeSet::new();
        collect_parameters(&properties["VersionDescription"], &mut listed);
        for name in NOT_PUBLISHED {
            properties.as_object_mut().expect("properties").remove(name);
        }
        let mut used = BTreeSet::new();
        collect_parameters(&properties, &mut used);
        collect_parameters(globals, &mut used);
        used.retain(|parameter| !LOCAL.contains(&&**parameter));
        assert_eq!(listed, used, "the VersionDescription of {function}");
    }
}

/// Lambda would refuse a longer one, and take the whole deployment back.
#[test]
fn a_versions_description_fits_whatever_the_parameters_are() {
    let parameters = section("Parameters");
    let longest = |name: &String| -> u64 {
        let parameter = &parameters[name];
        let digits = |most: u64| most.to_string().len() as u64;
        let allowed = parameter["AllowedValues"].as_array().into_iter().flatten();
        let allowed = allowed.filter_map(Value::as_str).map(|value| value.len() as u64).max();
        let length = parameter["MaxLength"]
            .as_u64()
            .or(parameter["MaxValue"].as_u64().map(digits))
            .or(allowed);
        length.unwrap_or_else(|| panic!("{name} has no longest value")) + 1
    };
    for (function, properties) in functions() {
        let mut listed = BTreeSet::new();
        collect_parameters(&properties["VersionDescription"], &mut listed);
        let length: u64 = listed.iter().map(longest).sum();
        assert!(length <= LONGEST_DESCRIPTION, "{function}: {length} characters");
    }
}

#[test]
fn whatever_calls_a_function_names_its_alias() {
    let template = Template::local();
    let functions = template.functions();
    let mut called = BTreeSet::new();
    let mut by_alias = |caller: &str, reference: &Value| {
        let function = target(reference);
        if functions.contains(function) {
            assert_eq!(reference["!Ref"], format!("{function}.Alias"), "{caller}");
            called.insert(function.to_owned());
        }
    };
    for (mapping, properties) in template.all("AWS::Lambda::EventSourceMapping") {
        by_alias(mapping, &properties["FunctionName"]);
    }
    for (permission, properties) in template.all("AWS::Lambda::Permission") {
        by_alias(permission, &properties["FunctionName"]);
    }
    for (integration, properties) in template.all("AWS::ApiGatewayV2::Integration") {
        by_alias(integration, &properties["IntegrationUri"]);
    }
    for (rule, properties) in template.all("AWS::Events::Rule") {
        list(&properties["Targets"]).for_each(|to| by_alias(rule, &to["Arn"]));
    }
    assert!(functions.iter().all(|function| called.contains(*function)), "{called:?}");
}

#[test]
fn a_function_behind_the_api_goes_back_when_an_alarm_about_customers_fires() {
    let template = Template::on_aws();
    for (integration, properties) in template.all("AWS::ApiGatewayV2::Integration") {
        let function = target(&properties["IntegrationUri"]);
        let canary = &template.properties(function)["DeploymentPreference"];
        assert_eq!(target(&canary["Enabled"]), "Canary", "{integration}");
        // SAM refuses a branch that is no list, once there is a canary.
        let written =
            &section("Resources")[function]["Properties"]["DeploymentPreference"]["Alarms"];
        let branches = &written["!If"].as_array().expect("a condition and two branches")[1..];
        assert!(branches.iter().all(Value::is_array), "{function}: {branches:?}");
        for alarm in list(&canary["Alarms"]).map(target) {
            let of_type = &template.resource(alarm)["Type"];
            assert_eq!(of_type, "AWS::CloudWatch::Alarm", "{function}: {alarm}");
        }
    }
}
