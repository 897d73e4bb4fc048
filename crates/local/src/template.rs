//! The parts of the SAM template that deployment needs: the functions and where their code is.

use std::{collections::BTreeMap, fs, path::Path};

use yaml_serde::{Mapping, Value};

use crate::{Error, error::io};

/// A template in which the locations of the functions' code can be set.
#[derive(Debug)]
pub(crate) struct Template(Value);

/// The S3 object with a function's package.
#[derive(Debug)]
pub(crate) struct CodeLocation {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

impl Template {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(io(format!("reading {}", path.display())))?;
        Self::parse(&text).map_err(|reason| Error::Template { path: path.to_owned(), reason })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let template: Value = yaml_serde::from_str(text).map_err(|error| error.to_string())?;
        match template.get("Resources") {
            Some(Value::Mapping(_)) => Ok(Self(template)),
            _ => Err("it has no Resources".to_owned()),
        }
    }

    /// The logical ids and binaries of all functions that SAM builds.
    pub(crate) fn functions(&self) -> BTreeMap<String, String> {
        let resources = self.0["Resources"].as_mapping().into_iter().flatten();
        resources
            .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
            .filter_map(|(id, function)| {
                let binary = &function["Metadata"]["BuildProperties"]["Binary"];
                Some((id.as_str()?.to_owned(), binary.as_str()?.to_owned()))
            })
            .collect()
    }

    /// Replaces a function's source directory with its uploaded package.
    pub(crate) fn locate(&mut self, function: &str, code: CodeLocation) {
        let location = Mapping::from_iter([
            (Value::from("Bucket"), Value::from(code.bucket)),
            (Value::from("Key"), Value::from(code.key)),
        ]);
        self.0["Resources"][function]["Properties"]["CodeUri"] = location.into();
    }

    /// Gives the HTTP API an id of its own choice, which the embedded AWS takes from this tag. By
    /// itself it makes up another one each time, and the API's URL with it.
    pub(crate) fn name_api(&mut self, id: &str) {
        let resources = self.0["Resources"].as_mapping_mut().into_iter().flatten();
        for (_, resource) in resources {
            if resource["Type"] == "AWS::ApiGatewayV2::Api" {
                let tags = Mapping::from_iter([(Value::from("ms-custom-id"), Value::from(id))]);
                resource["Properties"]["Tags"] = tags.into();
            }
        }
    }

    /// The template as text for CloudFormation.
    pub(crate) fn body(&self) -> String {
        yaml_serde::to_string(&self.0).expect("a parsed template can be serialised")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = "
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Resources:
  Table:
    Type: AWS::DynamoDB::Table
  Greeter:
    Type: AWS::Serverless::Function
    Metadata:
      BuildMethod: rust-cargolambda
      BuildProperties:
        Binary: greeter
    Properties:
      Role: !GetAtt Role.Arn
      Environment:
        Variables:
          TABLE: !Sub ${Table}-x
";

    #[test]
    fn functions_are_found_with_their_binaries() {
        let template = Template::parse(TEMPLATE).unwrap();
        assert_eq!(
            template.functions(),
            BTreeMap::from([("Greeter".to_owned(), "greeter".to_owned())])
        );
    }

    #[test]
    fn setting_the_code_of_a_function_changes_nothing_else() {
        let mut template = Template::parse(TEMPLATE).unwrap();
        template.locate("Greeter", CodeLocation { bucket: "b".to_owned(), key: "k".to_owned() });

        let mut expected: Value = yaml_serde::from_str(TEMPLATE).unwrap();
        expected["Resources"]["Greeter"]["Properties"]["CodeUri"] =
            yaml_serde::from_str("{Bucket: b, Key: k}").unwrap();
        assert_eq!(yaml_serde::from_str::<Value>(&template.body()).unwrap(), expected);
        assert!(template.body().contains("!GetAtt"), "{}", template.body());
    }

    #[test]
    fn a_file_without_resources_is_not_a_template() {
        assert_eq!(Template::parse("a: 1").unwrap_err(), "it has no Resources");
        assert!(Template::parse("a: [").is_err());
    }
}
