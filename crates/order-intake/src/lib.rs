//! The customers' HTTP API: places, shows and cancels orders, and shows shops and menus.

pub mod handler;
pub mod memory;
pub mod menus;
#[cfg(test)]
mod openapi;
mod problem;
pub mod request;
pub mod route;
pub mod store;
mod view;
