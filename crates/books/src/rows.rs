//! The rows of all tables. They are read and never written.

mod kinds;
mod reader;

pub use kinds::{HoldKey, NoticeRow, PaymentRow, StockRow};
pub use reader::{OrderFilter, Rows, TableNames, Tables};
