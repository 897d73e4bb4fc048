//! The grammar of metric math, from the operators that bind least to those that bind most.

use super::syntax::{Expression, ExpressionError, Function, Operator};

/// Operators by how little they bind. Those of one row are read from left to right. In a row, an
/// operator stands before one that begins like it.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("OR", Operator::Or), ("||", Operator::Or)],
    &[("AND", Operator::And), ("&&", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
    ],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[("*", Operator::Times), ("/", Operator::Divided)],
];

pub(super) fn parse(text: &str) -> Result<Expression, ExpressionError> {
    let mut parser = Parser { rest: text.trim_start() };
    let expression = parser.level(0)?;
    if parser.rest.is_empty() { Ok(expression) } else { Err(parser.expected("an operator")) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn level(&mut self, level: usize) -> Result<Expression, ExpressionError> {
        let Some(operators) = LEVELS.get(level) else { return self.signed() };
        let mut left = self.level(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.take(sign)) {
            let right = self.level(level + 1)?;
            left = Expression::Binary(*operator, left.into(), right.into());
        }
        Ok(left)
    }

    fn signed(&mut self) -> Result<Expression, ExpressionError> {
        if self.take("-") {
            return Ok(Expression::Negative(self.signed()?.into()));
        }
        let base = self.operand()?;
        if self.take("^") {
            return Ok(Expression::Binary(Operator::Power, base.into(), self.signed()?.into()));
        }
        Ok(base)
    }

    fn operand(&mut self) -> Result<Expression, ExpressionError> {
        const OPERAND: &str = "a number, an id, a function or a parenthesis";
        if self.take("(") {
            let inner = self.level(0)?;
            self.require(")", "a closing parenthesis")?;
            return Ok(inner);
        }
        if self.take("[") {
            return Ok(Expression::Array(self.list("]", "a closing bracket")?));
        }
        if self.take("\"") {
            let Some((text, rest)) = self.rest.split_once('"') else {
                return Err(ExpressionError::Ends("a closing quotation mark"));
            };
            self.rest = rest.trim_start();
            return Ok(Expression::Text(text.to_owned()));
        }
        let word = self.word();
        if let Ok(number) = word.parse() {
            self.skip(word.len());
            return Ok(Expression::Number(number));
        }
        if word.starts_with(|c: char| c.is_ascii_lowercase()) {
            self.skip(word.len());
            return Ok(Expression::Id(word));
        }
        if word.is_empty() {
            return Err(self.expected(OPERAND));
        }
        let function = match word.as_str() {
            "IF" => Function::If,
            "FILL" => Function::Fill,
            "SUM" => Function::Sum,
            "MIN" => Function::Minimum,
            "MAX" => Function::Maximum,
            "METRICS" => Function::Metrics,
            "HOUR" => Function::Hour,
            _ => return Err(ExpressionError::UnknownFunction(word)),
        };
        self.skip(word.len());
        self.require("(", "an opening parenthesis")?;
        Ok(Expression::Call(function, self.list(")", "a closing parenthesis")?))
    }

    /// Expressions with commas between them, up to `end`.
    fn list(&mut self, end: &str, name: &'static str) -> Result<Vec<Expression>, ExpressionError> {
        let mut items = Vec::new();
        if self.take(end) {
            return Ok(items);
        }
        loop {
            items.push(self.level(0)?);
            if !self.take(",") {
                self.require(end, name)?;
                return Ok(items);
            }
        }
    }

    /// Letters, digits, underscores and dots up to the next sign.
    fn word(&self) -> String {
        let part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
        self.rest.chars().take_while(part).collect()
    }

    /// Reads `sign` if it comes next. A sign of letters is a whole word.
    fn take(&mut self, sign: &str) -> bool {
        let is_word = sign.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_next = if is_word { self.word() == sign } else { self.rest.starts_with(sign) };
        if is_next {
            self.skip(sign.len());
        }
        is_next
    }

    fn skip(&mut self, length: usize) {
        self.rest = self.rest[length..].trim_start();
    }

    fn require(&mut self, sign: &str, name: &'static str) -> Result<(), ExpressionError> {
        if self.take(sign) { Ok(()) } else { Err(self.expected(name)) }
    }

    fn expected(&self, expected: &'static str) -> ExpressionError {
        match self.rest.chars().next() {
            None => ExpressionError::Ends(expected),
            Some(_) => ExpressionError::Unexpected { found: self.rest.to_owned(), expected },
        }
    }
}
