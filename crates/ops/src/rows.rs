//! The rows of all tables. They are read and never written.

mod kinds;
mod reader;

pub(crate) use kinds::{HoldKey, NoticeRow, PaymentRow, StockRow};
pub(crate) use reader::{OrderFilter, Tables};
