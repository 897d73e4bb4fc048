//! `events/` has a sample for every way in which a function is called.

use std::{collections::BTreeSet, fs, path::PathBuf};

use resources::{Template, target};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../events")
}

/// All samples, by their file names.
fn samples() -> BTreeSet<String> {
    let files = fs::read_dir(folder()).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

fn read(sample: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(sample)).unwrap()).unwrap()
}

#[test]
fn every_event_source_has_one_sample_that_is_named_after_function_and_source() {
    let template = Template::on_aws();
    let mappings = template.all("AWS::Lambda::EventSourceMapping").into_iter();
    let expected: BTreeSet<_> = mappings
        .map(|(_, mapping)| {
            let function = template.crate_of(target(&mapping["FunctionName"]));
            let source = target(&mapping["EventSourceArn"]);
            let kind = if source.ends_with("Table") { "stream" } else { "queue" };
            let name = source.trim_end_matches("Table").trim_end_matches("Queue").to_lowercase();
            format!("{function}-{name}-{kind}.json")
        })
        .collect();
    let mut batches = samples();
    batches.retain(|sample| read(sample)["Records"].is_array());
    assert_eq!(batches, expected, "on the left: the samples; on the right: the event sources");
}

#[test]
fn every_route_has_one_sample() {
    let template = Template::on_aws();
    let routes: Vec<_> = template.routes().iter().map(|route| route.key.to_owned()).collect();
    let requests = samples().into_iter().map(|sample| read(&sample)["routeKey"].take());
    let mut sampled: Vec<_> =
        requests.filter_map(|route| route.as_str().map(str::to_owned)).collect();
    sampled.sort();
    assert_eq!(sampled, routes, "on the left: the samples; on the right: the routes");
}
