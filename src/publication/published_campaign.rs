//! The content of the price book for one campaign, current or desired, and the difference between
//! the two.

use diesel_async::AsyncPgConnection;
use price_book::snapshot::Snapshot;
use roaring::RoaringBitmap;

use super::audience::{self, AudienceDifference};
use super::difference::{Difference, Entry};
use super::reader::{self, Lines, ReadError};

/// The dates and lines of a campaign, and its accounts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PublishedCampaign {
    /// The rows of its dates and lines.
    pub entries: Vec<Entry>,
    /// The ordinals of the accounts.
    pub accounts: RoaringBitmap,
}

impl PublishedCampaign {
    /// Returns the content in force of a campaign, and desired lines in force with another source.
    /// A current snapshot makes the query for these lines unnecessary.
    pub(crate) async fn in_force(
        conn: &mut AsyncPgConnection,
        campaign: &str,
        desired: &[Entry],
        book: Option<&Snapshot>,
    ) -> Result<Self, ReadError> {
        Ok(Self {
            entries: reader::campaign_in_force(conn, campaign, Lines::All, desired, book).await?,
            accounts: audience::in_force(conn, campaign).await?,
        })
    }

    /// Returns the content of a campaign that is not active: only desired lines in force with
    /// another source.
    pub(crate) async fn while_inactive(
        conn: &mut AsyncPgConnection,
        campaign: &str,
        desired: &[Entry],
        book: Option<&Snapshot>,
    ) -> Result<Self, ReadError> {
        let entries = reader::elsewhere_in_force(conn, campaign, desired, book).await?;
        Ok(Self { entries, ..Self::default() })
    }

    /// Returns the content of a campaign as of a version.
    pub(crate) async fn as_of(
        conn: &mut AsyncPgConnection,
        campaign: &str,
        version: i64,
    ) -> Result<Self, ReadError> {
        Ok(Self {
            entries: reader::campaign_as_of(conn, campaign, version).await?,
            accounts: audience::as_of(conn, campaign, version).await?,
        })
    }

    /// Computes the difference to the desired content.
    pub(crate) fn difference(self, desired: Self) -> Difference {
        let audience = AudienceDifference::between(&self.accounts, &desired.accounts);
        Difference { audience, ..Difference::between(self.entries, desired.entries) }
    }
}
