//! The alarms of a stack that ring.
//!
//! CloudWatch is asked by a request of our own. Its SDK would turn on features of the other SDKs,
//! and with them a second HTTP stack in every function that is built in this workspace.

use std::{collections::BTreeMap, time::SystemTime};

use aws_sdk_cloudformation::config::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Deployment, Error};

/// The types of resources that are alarms.
const KINDS: [&str; 2] = ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"];

const OPERATION: &str = "cloudwatch:DescribeAlarms";

/// The operation in the JSON protocol of CloudWatch.
const TARGET: &str = "GraniteServiceVersion20100801.DescribeAlarms";

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// An alarm that rings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Its logical id in the template.
    pub logical_id: String,
    /// Since when it rings, if CloudWatch says so.
    pub since: Option<Timestamp>,
    /// Why, in CloudWatch's words.
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    metric_alarms: Vec<Described>,
    #[serde(default)]
    composite_alarms: Vec<Described>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    alarm_name: String,
    #[serde(default)]
    state_reason: String,
    /// Seconds since the epoch.
    state_updated_timestamp: Option<Value>,
}

impl Deployment {
    /// The alarms of the stack that ring.
    ///
    /// # Errors
    /// CloudWatch does not answer.
    pub async fn ringing_alarms(&self) -> Result<Vec<Alarm>, Error> {
        let own: BTreeMap<&str, &str> = KINDS
            .into_iter()
            .flat_map(|kind| self.resources(kind))
            .map(|(logical_id, name)| (name, logical_id))
            .collect();
        let mut ringing = Vec::new();
        if own.is_empty() {
            return Ok(ringing);
        }
        let mut next_token = None;
        loop {
            let page = self.page(next_token).await?;
            let described = page.metric_alarms.into_iter().chain(page.composite_alarms);
            ringing.extend(described.filter_map(|alarm| {
                let logical_id = own.get(&*alarm.alarm_name)?;
                let since = alarm.state_updated_timestamp.as_ref().and_then(Value::as_f64);
                Some(Alarm {
                    logical_id: (*logical_id).to_owned(),
                    since: since.and_then(|at| Timestamp::from_second(at as i64).ok()),
                    reason: alarm.state_reason,
                })
            }));
            next_token = page.next_token;
            if next_token.is_none() {
                return Ok(ringing);
            }
        }
    }

    async fn page(&self, next_token: Option<String>) -> Result<Page, Error> {
        let failed = |reason: String| Error::Aws { operation: OPERATION, reason };
        let region = self.config.region().map(AsRef::as_ref).unwrap_or_default();
        let url = match self.config.endpoint_url() {
            Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
            None => format!("https://monitoring.{region}.amazonaws.com/"),
        };
        let body = json!({
            "AlarmTypes": ["MetricAlarm", "CompositeAlarm"],
            "StateValue": "ALARM",
            "NextToken": next_token
        });
        let body = body.to_string();
        let signature = self.sign(&url, region, body.as_bytes()).await?;
        let request = reqwest::Client::new()
            .post(&url)
            .header("content-type", CONTENT_TYPE)
            .header("x-amz-target", TARGET);
        let request = signature
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.body(body).send().await.map_err(|error| failed(error.to_string()))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| failed(error.to_string()))?;
        if !status.is_success() {
            return Err(failed(format!("{status}: {text}")));
        }
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
    }

    /// The headers that sign a request.
    async fn sign(
        &self,
        url: &str,
        region: &str,
        body: &[u8],
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let failed = |reason: String| Error::Aws { operation: OPERATION, reason };
        let provider = self
            .config
            .credentials_provider()
            .ok_or_else(|| Error::NoCredentials(String::new()))?;
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|error| Error::NoCredentials(error.to_string()))?;
        let identity = credentials.into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name("monitoring")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)].into_iter();
        let request = SignableRequest::new("POST", url, headers, SignableBody::Bytes(body))
            .map_err(|error| failed(error.to_string()))?;
        let (instructions, _signature) = sign(request, &parameters.into())
            .map_err(|error| failed(error.to_string()))?
            .into_parts();
        let (headers, _query) = instructions.into_parts();
        Ok(headers.iter().map(|header| (header.name(), header.value().to_owned())).collect())
    }
}
