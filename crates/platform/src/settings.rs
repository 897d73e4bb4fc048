//! Settings: environment variables that the template sets. All are read once, when the function
//! starts.

use std::{env, str::FromStr};

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The variable is absent or empty.
    #[error("the environment variable {0} is not set: the template sets it for this function")]
    Missing(&'static str),
    /// The variable is no such thing.
    #[error("the environment variable {name} must be {expected}")]
    Invalid {
        /// Which.
        name: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
}

/// A setting that is taken as it is.
///
/// # Errors
/// When it is absent or empty.
pub fn text(name: &'static str) -> Result<String, SettingError> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or(SettingError::Missing(name))
}

/// A setting that has a form; `expected` says which, for whoever has to mend it.
///
/// # Errors
/// When it is absent, empty or of another form.
pub fn parsed<T: FromStr>(name: &'static str, expected: &'static str) -> Result<T, SettingError> {
    text(name)?.parse().map_err(|_| SettingError::Invalid { name, expected })
}

/// A setting in whole seconds.
///
/// # Errors
/// When it is absent, empty or not a whole number.
pub fn seconds(name: &'static str) -> Result<u32, SettingError> {
    parsed(name, "a whole number of seconds")
}
