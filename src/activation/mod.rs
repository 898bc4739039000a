//! The door between the drafts and the price book: what an activation checks, what it publishes,
//! and how the book follows changes of active campaigns afterwards.
//!
//! ```text
//! targeting.rs   who is in the audience: the one query, and who is left out
//! findings.rs    the table of what can be found, and how a finding looks
//! rules.rs       the targeting rules: pure, from what was gathered to findings
//! shadowed_lines.rs      lines that can never win
//! draft.rs       gathers what the rules look at, under the campaign's lock
//! plan.rs        what an activation would change: counts, sample prices, conflicts
//! planned_prices.rs  the prices of a plan in full, over HTTP
//! golden.rs      asks the golden quotes, of the book as it would be
//! activate.rs    activates and deactivates
//! book_view.rs   the copy in memory that plans are reckoned with
//! rollback.rs    brings an earlier publication back
//! auto_publish.rs      brings what an effect touched into the book, in its transaction
//! audience.rs    who is in the audience and why, over HTTP
//! grants.rs      whether and why a campaign grants an account its price, over HTTP
//! http.rs        the operations
//! ```

mod activate;
mod audience;
mod auto_publish;
mod book_view;
mod draft;
pub mod findings;
mod golden;
mod grants;
pub mod http;
mod plan;
mod planned_prices;
mod rollback;
mod rules;
mod shadowed_lines;
mod targeting;

pub use auto_publish::AutoPublisher;
