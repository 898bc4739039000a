//! Activation: checks a campaign's drafts and publishes them into the price book. Later changes of
//! an active campaign are published in the transaction that makes them.
//!
//! ```text
//! targeting.rs       the audience: the one query, and the contacts that are left out
//! findings.rs        the table of findings, and the form of a finding
//! rules.rs           the targeting rules, pure: from the gathered drafts to findings
//! shadowed_lines.rs  lines that another line of the campaign dominates
//! draft.rs           gathers the input of the rules, under the campaign's lock
//! plan.rs            the planned changes: counts, prices, overlaps
//! effective_prices.rs  the prices of the whole audience, as statistics
//! overlaps.rs        published campaigns for the same items and accounts, and the result
//! guardrails.rs      bounds on margin and discount, in every path that publishes
//! planned_prices.rs  all prices of a plan, over HTTP
//! golden.rs          compares golden quotes with the book as it would be
//! activate.rs        activates and deactivates
//! book_view.rs       the in-memory book that plans are computed from
//! rollback.rs        publishes an earlier publication again
//! auto_publish.rs    publishes what a unit of work changed, in its transaction
//! approval.rs        which publications a second person approves, and who that can be
//! approval_requests.rs  requests for approval over HTTP
//! audience.rs        the audience and the reasons for a membership, over HTTP
//! grants.rs          the price that a campaign grants an account, with reasons, over HTTP
//! http.rs            activation and deactivation over HTTP
//! ```

mod activate;
mod approval;
mod approval_requests;
mod audience;
mod auto_publish;
mod book_view;
mod draft;
pub mod effective_prices;
pub mod findings;
mod golden;
mod grants;
mod guardrails;
pub mod http;
mod overlaps;
mod plan;
mod planned_prices;
mod rollback;
mod rules;
mod shadowed_lines;
mod targeting;

pub use auto_publish::AutoPublisher;
