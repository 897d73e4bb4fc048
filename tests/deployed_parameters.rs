//! The template parameters that `sam build` and `sam deploy` read.

use std::collections::BTreeMap;

/// The parameters of an environment of `samconfig.toml`.
pub(crate) fn of(environment: &str) -> BTreeMap<String, String> {
    let config: toml::Table = include_str!("../samconfig.toml").parse().expect("TOML");
    let overrides = &config[environment]["global"]["parameters"]["parameter_overrides"];
    let overrides = overrides.as_array().expect("a list of parameters");
    let overrides = overrides.iter().map(|it| it.as_str().expect("a text").to_owned());
    let parameters = overrides.flat_map(|it| match it.strip_prefix("file://") {
        Some("parameters.yaml") => yaml_serde::from_str(include_str!("../parameters.yaml")).expect(
            "a list of texts, since YAML reads `true` as something else than CloudFormation",
        ),
        Some(other) => panic!("samconfig.toml names the file {other}"),
        None => vec![it],
    });
    let parameters = parameters.map(|parameter| {
        let (name, value) = parameter.split_once('=').expect("NAME=VALUE");
        (name.to_owned(), value.to_owned())
    });
    parameters.collect()
}
