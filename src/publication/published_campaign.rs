//! All that the price book carries of one campaign, or is to carry, and the difference between two
//! such states.

use diesel_async::AsyncPgConnection;
use roaring::RoaringBitmap;

use super::audience::{self, AudienceDifference};
use super::difference::{Difference, Entry};
use super::reader::{self, Lines, ReadError};
use super::snapshot::Snapshot;

/// The dates and lines of a campaign, and the accounts it is for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PublishedCampaign {
    /// The rows of its dates and lines.
    pub entries: Vec<Entry>,
    /// The ordinals of the accounts.
    pub accounts: RoaringBitmap,
}

impl PublishedCampaign {
    /// What counts of a campaign, and of lines among the wished ones that count for somebody else.
    /// A copy of the book that is up to date spares the search for these.
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

    /// The same of a campaign that is not active: nothing counts of it.
    pub(crate) async fn while_inactive(
        conn: &mut AsyncPgConnection,
        campaign: &str,
        desired: &[Entry],
        book: Option<&Snapshot>,
    ) -> Result<Self, ReadError> {
        let entries = reader::elsewhere_in_force(conn, campaign, desired, book).await?;
        Ok(Self { entries, ..Self::default() })
    }

    /// What counted of a campaign as of a version.
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

    /// What leads from this state to the wished one.
    pub(crate) fn difference(self, desired: Self) -> Difference {
        let audience = AudienceDifference::between(&self.accounts, &desired.accounts);
        Difference { audience, ..Difference::between(self.entries, desired.entries) }
    }
}
