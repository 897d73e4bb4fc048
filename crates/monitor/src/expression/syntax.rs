//! What an expression consists of, and why it is refused.

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The text ends too early.
    #[error("the expression ends where {0} is expected")]
    Ends(&'static str),
    /// Something else is expected.
    #[error("{found:?} stands where {expected} is expected")]
    Unexpected {
        /// What stands there.
        found: String,
        /// What is expected.
        expected: &'static str,
    },
    /// No metric or earlier expression has this id.
    #[error("no metric or expression has the id {0:?}")]
    UnknownId(String),
    /// A function that this crate does not evaluate, or that CloudWatch takes for no alarm.
    #[error("the function {0} cannot be evaluated for an alarm")]
    UnknownFunction(String),
    /// A function or operator got something that it does not take.
    #[error("{0} does not take these arguments")]
    Arguments(&'static str),
    /// The result is a number or several series.
    #[error("the result is not a single time series")]
    NotASeries,
}

/// An expression that was parsed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expression {
    Number(f64),
    Text(String),
    Id(String),
    Array(Vec<Expression>),
    Negative(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    Call(Function, Vec<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
    Plus,
    Minus,
    Times,
    Divided,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    If,
    Fill,
    Sum,
    Minimum,
    Maximum,
    Metrics,
    Hour,
}

impl Function {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::If => "IF",
            Self::Fill => "FILL",
            Self::Sum => "SUM",
            Self::Minimum => "MIN",
            Self::Maximum => "MAX",
            Self::Metrics => "METRICS",
            Self::Hour => "HOUR",
        }
    }
}
