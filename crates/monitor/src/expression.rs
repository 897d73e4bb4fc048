//! Metric math: the part of
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html> that
//! alarms need.

mod parser;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::syntax::ExpressionError;
pub(crate) use self::syntax::{Expression, Function, Operator};

/// A value for each period, the latest last, where there is one.
pub(crate) type Series = Vec<Option<f64>>;

/// What an expression is evaluated on.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    /// The metrics of the alarm, by their ids.
    pub(crate) metrics: &'a BTreeMap<String, Series>,
    /// The results of earlier expressions, by their ids.
    pub(crate) results: &'a BTreeMap<String, Series>,
    /// The hour in UTC at which each period starts.
    pub(crate) hours: &'a [u8],
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Scalar(f64),
    Series(Series),
    Array(Vec<Series>),
}

impl Expression {
    pub(crate) fn parse(text: &str) -> Result<Self, ExpressionError> {
        parser::parse(text)
    }

    /// The series that the expression results in.
    pub(crate) fn evaluate(&self, scope: &Scope<'_>) -> Result<Series, ExpressionError> {
        match self.value(scope)? {
            Value::Series(series) => Ok(series),
            Value::Text(_) | Value::Scalar(_) | Value::Array(_) => Err(ExpressionError::NotASeries),
        }
    }

    fn value(&self, scope: &Scope<'_>) -> Result<Value, ExpressionError> {
        Ok(match self {
            Self::Number(number) => Value::Scalar(*number),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Id(id) => {
                let series = scope.metrics.get(id).or_else(|| scope.results.get(id));
                Value::Series(series.ok_or_else(|| ExpressionError::UnknownId(id.clone()))?.clone())
            }
            Self::Array(items) => {
                let mut all = Vec::new();
                for item in items {
                    match item.value(scope)? {
                        Value::Series(series) => all.push(series),
                        Value::Array(array) => all.extend(array),
                        Value::Text(_) | Value::Scalar(_) => {
                            return Err(ExpressionError::Arguments("an array"));
                        }
                    }
                }
                Value::Array(all)
            }
            Self::Negative(of) => binary(Operator::Minus, Value::Scalar(0.0), of.value(scope)?)?,
            Self::Binary(operator, left, right) => {
                binary(*operator, left.value(scope)?, right.value(scope)?)?
            }
            Self::Call(function, arguments) => {
                let arguments = arguments.iter().map(|argument| argument.value(scope));
                call(*function, arguments.collect::<Result<_, _>>()?, scope)?
            }
        })
    }
}

/// Applies an operator to numbers, series, and each series of an array.
fn binary(operator: Operator, left: Value, right: Value) -> Result<Value, ExpressionError> {
    let apply = |left, right| operator.apply(left, right);
    Ok(match (left, right) {
        // A division by zero leaves a gap, which a number cannot be.
        (Value::Scalar(left), Value::Scalar(right)) => {
            Value::Scalar(apply(left, right).ok_or(ExpressionError::Arguments("a division"))?)
        }
        (Value::Series(left), Value::Scalar(right)) => {
            Value::Series(left.iter().map(|left| apply((*left)?, right)).collect())
        }
        (Value::Scalar(left), Value::Series(right)) => {
            Value::Series(right.iter().map(|right| apply(left, (*right)?)).collect())
        }
        (Value::Series(left), Value::Series(right)) => {
            Value::Series(pairs(operator, &left, &right))
        }
        (Value::Array(left), Value::Scalar(right)) => {
            let each = |left| binary(operator, Value::Series(left), Value::Scalar(right));
            array(left.into_iter().map(each))?
        }
        (Value::Scalar(left), Value::Array(right)) => {
            let each = |right| binary(operator, Value::Scalar(left), Value::Series(right));
            array(right.into_iter().map(each))?
        }
        (Value::Array(left), Value::Series(right)) => {
            Value::Array(left.iter().map(|left| pairs(operator, left, &right)).collect())
        }
        (Value::Series(left), Value::Array(right)) => {
            Value::Array(right.iter().map(|right| pairs(operator, &left, right)).collect())
        }
        (Value::Array(_), Value::Array(_)) | (Value::Text(_), _) | (_, Value::Text(_)) => {
            return Err(ExpressionError::Arguments("an operator"));
        }
    })
}

fn array(
    values: impl Iterator<Item = Result<Value, ExpressionError>>,
) -> Result<Value, ExpressionError> {
    let series = values.map(|value| match value? {
        Value::Series(series) => Ok(series),
        _ => Err(ExpressionError::Arguments("an operator")),
    });
    Ok(Value::Array(series.collect::<Result<_, _>>()?))
}

/// Where only one of two series has a value, the other counts as 0.
fn pairs(operator: Operator, left: &Series, right: &Series) -> Series {
    let both = left.iter().zip(right);
    both.map(|pair| match pair {
        (None, None) => None,
        (left, right) => operator.apply(left.unwrap_or(0.0), right.unwrap_or(0.0)),
    })
    .collect()
}

impl Operator {
    /// The result, of which a division by zero has none.
    fn apply(self, left: f64, right: f64) -> Option<f64> {
        let truth = |truth: bool| f64::from(u8::from(truth));
        Some(match self {
            Self::Or => truth(left != 0.0 || right != 0.0),
            Self::And => truth(left != 0.0 && right != 0.0),
            Self::Equal => truth(left == right),
            Self::NotEqual => truth(left != right),
            Self::LessOrEqual => truth(left <= right),
            Self::GreaterOrEqual => truth(left >= right),
            Self::Less => truth(left < right),
            Self::Greater => truth(left > right),
            Self::Plus => left + right,
            Self::Minus => left - right,
            Self::Times => left * right,
            Self::Divided if right == 0.0 => return None,
            Self::Divided => left / right,
            Self::Power => left.powf(right),
        })
    }
}

fn call(
    function: Function,
    arguments: Vec<Value>,
    scope: &Scope<'_>,
) -> Result<Value, ExpressionError> {
    let refused = || ExpressionError::Arguments(function.name());
    let mut arguments = arguments.into_iter();
    let (first, second, third) = (arguments.next(), arguments.next(), arguments.next());
    if arguments.next().is_some() {
        return Err(refused());
    }
    Ok(match (function, first, second, third) {
        (Function::If, Some(Value::Series(condition)), Some(yes), no) => {
            Value::Series(choose(&condition, &yes, no.as_ref()).ok_or_else(refused)?)
        }
        (Function::Fill, Some(Value::Series(series)), Some(Value::Scalar(filler)), None) => {
            Value::Series(fill(series, filler))
        }
        (Function::Fill, Some(Value::Array(all)), Some(Value::Scalar(filler)), None) => {
            Value::Array(all.into_iter().map(|series| fill(series, filler)).collect())
        }
        (Function::Sum, Some(Value::Array(all)), None, None) => {
            Value::Series(across(&all, |values| values.sum()))
        }
        (Function::Minimum, Some(Value::Array(all)), None, None) => {
            Value::Series(across(&all, |values| values.fold(f64::INFINITY, f64::min)))
        }
        (Function::Maximum, Some(Value::Array(all)), None, None) => {
            Value::Series(across(&all, |values| values.fold(f64::NEG_INFINITY, f64::max)))
        }
        (Function::Metrics, None, None, None) => {
            Value::Array(scope.metrics.values().cloned().collect())
        }
        (Function::Metrics, Some(Value::Text(part)), None, None) => {
            let named = scope.metrics.iter().filter(|(id, _)| id.contains(&part));
            Value::Array(named.map(|(_, series)| series.clone()).collect())
        }
        (Function::Hour, Some(Value::Series(_)), None, None) => {
            Value::Series(scope.hours.iter().map(|hour| Some(f64::from(*hour))).collect())
        }
        _ => return Err(refused()),
    })
}

fn fill(series: Series, filler: f64) -> Series {
    series.into_iter().map(|value| value.or(Some(filler))).collect()
}

/// Sums several series up to one, which has a value wherever one of them has.
fn across(all: &[Series], sum_up: impl Fn(&mut dyn Iterator<Item = f64>) -> f64) -> Series {
    let length = all.iter().map(Vec::len).max().unwrap_or_default();
    let at = |index: usize| {
        let mut values = all.iter().filter_map(|series| series[index]).peekable();
        values.peek().is_some().then(|| sum_up(&mut values))
    };
    (0..length).map(at).collect()
}

/// `IF`, whose branches are numbers or series. Where the condition has no value, neither has the
/// result; where it holds and `yes` has no value, the result is 0.
fn choose(condition: &Series, yes: &Value, no: Option<&Value>) -> Option<Series> {
    let at = |branch: &Value, index: usize| match branch {
        Value::Scalar(number) => Some(Some(*number)),
        Value::Series(series) => Some(series[index]),
        Value::Text(_) | Value::Array(_) => None,
    };
    let chosen = condition.iter().enumerate().map(|(index, condition)| {
        let yes = at(yes, index)?.or(Some(0.0));
        let no = no.map_or(Some(None), |no| at(no, index))?;
        Some(match condition {
            None => None,
            Some(condition) => {
                if *condition == 0.0 {
                    no
                } else {
                    yes
                }
            }
        })
    });
    chosen.collect()
}
