#![doc = include_str!("../README.md")]

mod checked_url;
mod client;
mod error;
mod headers;
mod ranges;
mod reply;
mod resolver;
mod tls;
mod withheld;

pub use checked_url::{CheckedUrl, UrlError};
pub use client::{Outbound, Settings};
pub use error::{RequestError, SetupError};
pub use headers::{HeaderError, check_header};
pub use ranges::is_public;
pub use reply::Reply;
pub use tls::tls_config;
