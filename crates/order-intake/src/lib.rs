//! The API: takes, shows and cancels a customer's orders, and shows what there is to order.

pub mod handler;
pub mod memory;
pub mod menus;
#[cfg(test)]
mod openapi;
mod problem;
pub mod request;
pub mod store;
mod view;
