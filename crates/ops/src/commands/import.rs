//! `import`: takes the tables, the user pool and the journal of a deleted stack into a new one.

use std::fs;

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{
    Client as CloudFormation,
    types::{ResourceToImport, StackStatus},
};
use aws_sdk_cloudwatchlogs::Client as CloudWatchLogs;
use aws_sdk_cognitoidentityprovider::Client as Cognito;
use aws_sdk_dynamodb::Client as DynamoDb;
use clap::Args;
use futures::future::try_join_all;
use stack::{change_set, describe, error::aws, workspace};
use yaml_serde::{Mapping, Value};

use crate::{
    error::Error,
    output::{line, table},
    verdict::Verdict,
};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Imports this one, where several could have been the stack's, such as
    /// OrdersTable=amelie-OrdersTable-1A2B3C4D
    #[arg(value_name = "LOGICAL_ID=NAME", value_parser = choice)]
    choices: Vec<(String, String)>,
    /// Only print what would be imported
    #[arg(long)]
    dry_run: bool,
}

fn choice(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((logical_id, name)) if !logical_id.is_empty() && !name.is_empty() => {
            Ok((logical_id.to_owned(), name.to_owned()))
        }
        _ => Err("write it as LOGICAL_ID=NAME".to_owned()),
    }
}

pub(super) async fn run(
    config: &SdkConfig,
    stack: &str,
    arguments: &Arguments,
) -> Result<Verdict, Error> {
    let client = CloudFormation::new(config);
    match describe(&client, stack).await {
        Err(stack::Error::NoStack(_)) => {}
        // What an earlier import leaves behind that was refused.
        Ok(found) if found.stack_status == Some(StackStatus::ReviewInProgress) => {}
        Ok(_) => return Err(Error::StackExists(stack.to_owned())),
        Err(error) => return Err(error.into()),
    }

    let path = workspace::template();
    let text = fs::read_to_string(&path);
    let text = text.map_err(|source| stack::Error::File { path, source })?;
    let template = kept(&yaml_serde::from_str(&text).map_err(Error::Template)?);
    let resources = template["Resources"].as_mapping().into_iter().flatten();
    let resources = resources.map(async |(id, resource)| {
        let id = id.as_str().unwrap_or_default();
        Kept::find(config, stack, id, resource["Type"].as_str(), &arguments.choices).await
    });
    let resources = try_join_all(resources).await?;

    let rows: Vec<_> =
        resources.iter().map(|kept| [kept.logical_id.clone(), kept.name.clone()]).collect();
    table(&rows)?;
    if arguments.dry_run {
        line("nothing was imported: leave out --dry-run")?;
        return Ok(Verdict::Healthy);
    }
    let template = yaml_serde::to_string(&template).map_err(Error::Template)?;
    let resources = resources.into_iter().map(Kept::into_import).collect();
    change_set::import(&client, stack, template, resources).await?;
    line(format!("imported into stack {stack}; `sam deploy` adds the rest"))?;
    Ok(Verdict::Healthy)
}

/// The part of the template that survives a stack: the resources with a deletion policy, and the
/// conditions that they name. An import accepts no other resource.
fn kept(template: &Value) -> Value {
    let section = |name: &str| template[name].as_mapping().cloned().unwrap_or_default();
    let resources = section("Resources").into_iter().filter_map(|(id, mut resource)| {
        let policy = resource.get_mut("DeletionPolicy")?;
        // The template decides by stage, and a stack of the embedded AWS is imported in tests.
        *policy = "Retain".into();
        if let Some(properties) = resource["Properties"].as_mapping_mut() {
            // It names resources and parameters that an import does not have. The deployment that
            // follows sets it again.
            properties.remove("EmailConfiguration");
        }
        Some((id, resource))
    });
    let parameters = section("Parameters").into_iter();
    let with_default = parameters.filter(|(_, parameter)| parameter.get("Default").is_some());
    let sections = [
        ("AWSTemplateFormatVersion", template["AWSTemplateFormatVersion"].clone()),
        ("Parameters", Value::Mapping(with_default.collect())),
        ("Conditions", Value::Mapping(section("Conditions"))),
        ("Resources", Value::Mapping(resources.collect())),
    ];
    sections.into_iter().map(|(name, part)| (name.into(), part)).collect::<Mapping>().into()
}

/// A resource that a deleted stack has left.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    logical_id: String,
    kind: &'static str,
    /// The property that identifies it to CloudFormation.
    identifier: &'static str,
    name: String,
}

impl Kept {
    async fn find(
        config: &SdkConfig,
        stack: &str,
        logical_id: &str,
        kind: Option<&str>,
        choices: &[(String, String)],
    ) -> Result<Self, Error> {
        let (kind, identifier, mut candidates) = match kind {
            Some("AWS::DynamoDB::Table") => {
                let tables = tables(config, &format!("{stack}-{logical_id}-")).await?;
                ("AWS::DynamoDB::Table", "TableName", tables)
            }
            Some("AWS::Cognito::UserPool") => {
                ("AWS::Cognito::UserPool", "UserPoolId", user_pools(config, stack).await?)
            }
            Some("AWS::Logs::LogGroup") => {
                let name = format!("/{stack}/{}", logical_id.to_lowercase());
                ("AWS::Logs::LogGroup", "LogGroupName", log_groups(config, &name).await?)
            }
            _ => return Err(Error::NotImportable(logical_id.to_owned())),
        };
        if let Some((_, chosen)) = choices.iter().find(|(id, _)| id == logical_id) {
            candidates.retain(|name| name == chosen);
        }
        match <[String; 1]>::try_from(candidates) {
            Ok([name]) => Ok(Self { logical_id: logical_id.to_owned(), kind, identifier, name }),
            Err(candidates) if candidates.is_empty() => {
                Err(Error::NothingKept(logical_id.to_owned()))
            }
            Err(candidates) => Err(Error::Ambiguous {
                logical_id: logical_id.to_owned(),
                candidates: candidates.join(", "),
            }),
        }
    }

    fn into_import(self) -> ResourceToImport {
        ResourceToImport::builder()
            .logical_resource_id(self.logical_id)
            .resource_type(self.kind)
            .resource_identifier(self.identifier, self.name)
            .build()
    }
}

/// The names of the tables that begin with `prefix`, which CloudFormation made up from the stack
/// and the logical id.
async fn tables(config: &SdkConfig, prefix: &str) -> Result<Vec<String>, Error> {
    let names = DynamoDb::new(config).list_tables().into_paginator().items().send();
    let mut names: Vec<String> = names.try_collect().await.map_err(aws("dynamodb:ListTables"))?;
    names.retain(|name| name.starts_with(prefix));
    Ok(names)
}

/// The ids of the user pools with the name of the stack.
async fn user_pools(config: &SdkConfig, stack: &str) -> Result<Vec<String>, Error> {
    let pools = Cognito::new(config).list_user_pools().max_results(60).into_paginator();
    let pools: Vec<_> =
        pools.items().send().try_collect().await.map_err(aws("cognito-idp:ListUserPools"))?;
    let named = pools.into_iter().filter(|pool| pool.name() == Some(stack));
    Ok(named.filter_map(|pool| pool.id).collect())
}

/// The name of a log group, if there is one.
async fn log_groups(config: &SdkConfig, name: &str) -> Result<Vec<String>, Error> {
    let groups = CloudWatchLogs::new(config).describe_log_groups().log_group_name_prefix(name);
    let groups: Vec<_> = groups
        .into_paginator()
        .items()
        .send()
        .try_collect()
        .await
        .map_err(aws("logs:DescribeLogGroups"))?;
    let names = groups.into_iter().filter_map(|group| group.log_group_name);
    Ok(names.filter(|found| found == name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_consists_of_what_deleting_the_stack_keeps() {
        let template = "
Parameters:
  Stage: {Default: prod}
  SenderAddress: {Type: String}
Conditions:
  OnAws: !Not [!Equals [!Ref Stage, local]]
Resources:
  OrdersTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: !If [OnAws, RetainExceptOnCreate, Delete]
    Properties: {BillingMode: PAY_PER_REQUEST}
  UserPool:
    Type: AWS::Cognito::UserPool
    DeletionPolicy: Retain
    Properties:
      UserPoolName: !Ref AWS::StackName
      EmailConfiguration: {From: !Ref SenderAddress}
  Queue:
    Type: AWS::SQS::Queue
Outputs:
  QueueUrl: {Value: !Ref Queue}
";
        let expected = "
AWSTemplateFormatVersion:
Parameters:
  Stage: {Default: prod}
Conditions:
  OnAws: !Not [!Equals [!Ref Stage, local]]
Resources:
  OrdersTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    Properties: {BillingMode: PAY_PER_REQUEST}
  UserPool:
    Type: AWS::Cognito::UserPool
    DeletionPolicy: Retain
    Properties:
      UserPoolName: !Ref AWS::StackName
";
        let parsed = |text| yaml_serde::from_str::<Value>(text).unwrap();
        assert_eq!(kept(&parsed(template)), parsed(expected));
    }

    #[test]
    fn a_choice_names_a_resource() {
        let chosen = ("OrdersTable".to_owned(), "a-b".to_owned());
        assert_eq!(choice("OrdersTable=a-b").unwrap(), chosen);
        assert!(choice("OrdersTable=").is_err() && choice("a-b").is_err());
    }
}
