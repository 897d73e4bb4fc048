//! What `sam build` and `sam deploy` are told, and what a deployment needs that exists already.

use resources::{Template, section, target};

use crate::deployed_parameters;

/// `samconfig.toml`.
fn config() -> toml::Table {
    include_str!("../../samconfig.toml").parse().expect("samconfig.toml is TOML")
}

#[test]
fn build_and_deployment_are_told_the_same_parameters() {
    for (environment, commands) in config() {
        let Some(commands) = commands.as_table() else { continue };
        for (command, options) in commands {
            let overrides = options["parameters"].get("parameter_overrides");
            if command == "global" {
                let parameters = deployed_parameters::of(&environment);
                assert!(parameters.contains_key("Architecture"), "{environment}: for which CPU?");
                for name in parameters.keys() {
                    let declared = section("Parameters").get(name).is_some();
                    assert!(declared, "{environment}: template.yaml has no parameter {name}");
                }
            } else {
                assert!(overrides.is_none(), "{environment}.{command} contradicts the others");
            }
        }
    }
}

#[test]
fn a_deployment_shows_its_commit_or_that_nobody_said_which_it_is() {
    assert_eq!(target(&section("Outputs")["Commit"]["Value"]), "Commit");
    assert_eq!(deployed_parameters::of("default")["Commit"], "unknown");
    // What is not named on the command line is then as `samconfig.toml` has it.
    let file = "--parameter-overrides file://parameters.yaml";
    let document = include_str!("../../docs/deployment.md");
    let by_hand = format!("{file} \\\n  \"Commit=$(git describe --always --dirty --match=)\"");
    assert!(document.contains(&by_hand), "docs/deployment.md does not show: {by_hand}");

    let deploys = step("sam deploy");
    let command = deploys["run"].as_str().unwrap();
    // The parameters of one deployment come last, because the last value counts.
    let commit = "\"Commit=$(git rev-parse HEAD)\"";
    assert!(command.ends_with(&format!("{file} {commit} $PARAMETERS")), "{command}");
    assert_eq!(deploys["env"]["PARAMETERS"], "${{ inputs.parameters }}");
}

/// The step of the workflow that deploys which runs a command.
fn step(command: &str) -> yaml_serde::Value {
    let workflow = include_str!("../../.github/workflows/deploy.yml");
    let workflow: yaml_serde::Value = yaml_serde::from_str(workflow).unwrap();
    let steps = workflow["jobs"]["deploy"]["steps"].as_sequence().unwrap();
    let runs = |step: &&yaml_serde::Value| {
        step["run"].as_str().is_some_and(|run| run.starts_with(command))
    };
    steps.iter().find(runs).expect("a step that deploys").clone()
}

#[test]
fn every_parameter_is_documented() {
    let document = include_str!("../../docs/deployment.md");
    let rows = document.lines().filter(|line| line.starts_with("| `"));
    let named: Vec<_> = rows.filter_map(|row| row.split(" | ").next()).collect();
    for name in section("Parameters").as_object().expect("parameters").keys() {
        let documented = named.iter().any(|names| names.contains(&format!("`{name}`")));
        assert!(documented, "docs/deployment.md: what is {name}?");
    }
}

#[test]
fn no_parameter_is_a_secret() {
    for (name, parameter) in section("Parameters").as_object().expect("parameters") {
        assert!(
            parameter.get("NoEcho").is_none(),
            "{name}: CloudFormation asks for it again after a failed deployment; let the template \
             name a secret instead"
        );
    }
}

#[test]
fn mail_is_sent_by_an_identity_that_exists_or_by_a_new_domain_with_dkim_and_mail_from() {
    let identity = &section("Resources")["Sender"];
    assert_eq!(identity["Condition"], "NewSenderIdentity", "an identity that exists fails a stack");
    let properties = &identity["Properties"];
    assert_eq!(properties["DkimSigningAttributes"]["NextSigningKeyLength"], "RSA_2048_BIT");
    assert!(properties["MailFromAttributes"]["MailFromDomain"].is_object());
}

#[test]
fn bounces_and_complaints_end_the_mail_to_an_address_and_become_events() {
    let template = Template::on_aws();
    let settings = template.properties("MailSettings");
    let suppressed = settings["SuppressionOptions"]["SuppressedReasons"].to_string();
    assert!(suppressed.contains("BOUNCE") && suppressed.contains("COMPLAINT"), "{suppressed}");
    let events = template.properties("MailEvents");
    assert_eq!(target(&events["ConfigurationSetName"]), "MailSettings");
    let sending = &template.properties("Notifications")["Environment"]["Variables"];
    assert_eq!(target(&sending["CONFIGURATION_SET"]), "MailSettings");
}

#[test]
fn notifications_sends_as_the_sender_alone_to_any_recipient() {
    let template = Template::on_aws();
    let sending: Vec<_> = template
        .statements_of("NotificationsRole")
        .into_iter()
        .filter(|statement| statement["Action"] == "ses:SendEmail")
        .collect();
    for statement in &sending {
        let sender = &statement["Condition"]["StringEquals"]["ses:FromAddress"];
        assert_eq!(target(sender), "SenderAddress", "{statement}");
    }
    // SES in its sandbox asks for permission on the recipient's identity as well.
    for resource in [":identity/*", ":configuration-set/"] {
        let allowed = sending.iter().any(|it| it["Resource"].to_string().contains(resource));
        assert!(allowed, "not on {resource}");
    }
}

#[test]
fn accounts_need_nothing_beyond_the_cheapest_tier() {
    assert_eq!(Template::on_aws().properties("UserPool")["UserPoolTier"], "LITE");
}

#[test]
fn the_workflow_that_deploys_stores_no_key_and_follows_ci() {
    let workflow = include_str!("../../.github/workflows/deploy.yml");
    assert!(!workflow.contains("secrets."), "a key is stored at GitHub");
    let workflow: yaml_serde::Value = yaml_serde::from_str(workflow).unwrap();
    assert_eq!(workflow["permissions"]["id-token"], "write");
    assert_eq!(workflow["on"]["workflow_run"]["workflows"][0], "CI");
    let condition = workflow["jobs"]["deploy"]["if"].as_str().unwrap();
    assert!(condition.contains("github.event.workflow_run.conclusion == 'success'"));
}
