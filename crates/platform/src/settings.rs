//! Settings: environment variables that the template sets. A function reads them once, at its
//! start.

use std::{env, str::FromStr};

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The variable is not set, or empty.
    #[error("the environment variable {0} is not set; set it for this function in the template")]
    Missing(&'static str),
    /// The variable's value does not have the expected form.
    #[error("the environment variable {name} must be {expected}")]
    Invalid {
        /// The name of the variable.
        name: &'static str,
        /// The form that the value must have.
        expected: &'static str,
    },
}

/// Reads a setting as text.
///
/// # Errors
/// It is not set, or empty.
pub fn text(name: &'static str) -> Result<String, SettingError> {
    env::var(name).ok().filter(|value| !value.is_empty()).ok_or(SettingError::Missing(name))
}

/// Reads and parses a setting; `expected` describes its form in the error message.
///
/// # Errors
/// It is not set, empty, or of another form.
pub fn parsed<T: FromStr>(name: &'static str, expected: &'static str) -> Result<T, SettingError> {
    text(name)?.parse().map_err(|_| SettingError::Invalid { name, expected })
}

/// Reads a setting in whole seconds.
///
/// # Errors
/// It is not set, empty, or not a whole number.
pub fn seconds(name: &'static str) -> Result<u32, SettingError> {
    parsed(name, "a whole number of seconds")
}
