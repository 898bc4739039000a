//! Teams of salespeople, to which tasks can be assigned.

use std::collections::HashMap;

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text as SqlText};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, KeySet, Text};

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::constraints::{Constraint, Dependent};
use crate::resource::table::{key_field, save_rows, table_rows, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::schema::{team_members, teams};
use crate::unit_of_work::UnitOfWork;

/// The writable fields of a team.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = TeamWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct TeamWrite {
    /// The code that tasks refer to.
    #[deserr(default)]
    pub code: Option<Key>,
    /// The name.
    #[deserr(default)]
    #[serde(default)]
    pub name: Text<100>,
    /// The codes of the salespeople in the team. A write replaces the whole list.
    #[deserr(default)]
    #[serde(default)]
    pub members: KeySet,
}

/// A team.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Team)]
#[serde(rename_all = "camelCase")]
pub struct TeamView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The code that tasks refer to.
    pub code: Key,
    /// The name.
    pub name: Text<100>,
    /// The codes of the salespeople in the team, in ascending order.
    pub members: KeySet,
}

/// The row of a team, without members.
#[derive(Queryable, Selectable)]
#[diesel(table_name = teams, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    code: Key,
    name: Text<100>,
}

/// The resource `/v1/teams`.
pub struct Teams;

impl Resource for Teams {
    const NAMES: Names = Names {
        path: "/v1/teams",
        singular: "team",
        plural: "teams",
        one: "a team",
        tag: "Reference data",
        area: Area::Catalog,
        key_field: Some("code"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "teams.id").not_null(),
            Field::new("code", FieldKind::Key, "teams.code").not_null(),
            Field::new("name", FieldKind::Text, "teams.name").not_null(),
            Field::new(
                "members",
                FieldKind::KeyList,
                "ARRAY(SELECT salesperson_code FROM team_members WHERE team_code = teams.code)",
            )
            .not_null(),
        ],
        default_order: "code",
        tie: "code",
    };
    const CONSTRAINTS: &'static [Constraint] = &[Constraint::taken("teams_code_key", "/code")];
    const DEPENDENTS: &'static [Dependent] =
        &[Dependent::new("tasks", "tasks WHERE team_code = $1")];
    type Scope = ();
    type Write = TeamWrite;
    type View = TeamView;

    table_rows! { teams by code, from Row: |conn, _scope, rows| views(conn, rows).await? }
    key_field! { code }
    write_of_view! { code, name, members }

    // No changed keys are recorded, since no price depends on a team.
    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<TeamWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        let conn = &mut *work.conn;
        save_rows!(&mut *conn, rows, if_exists, teams by code: name)?;
        let codes: Vec<&Key> = rows.iter().filter_map(|row| row.write.code.as_ref()).collect();
        diesel::delete(team_members::table.filter(team_members::team_code.eq_any(&codes)))
            .execute(conn)
            .await?;
        let members: Vec<(&Key, &Key)> = rows
            .iter()
            .filter_map(|row| Some((row.write.code.as_ref()?, &row.write.members)))
            .flat_map(|(team, members)| members.iter().map(move |member| (team, member)))
            .collect();
        let (of_teams, salespeople): (Vec<&Key>, Vec<&Key>) = members.into_iter().unzip();
        diesel::sql_query(
            "INSERT INTO team_members (team_code, salesperson_code) SELECT * FROM unnest($1, $2)",
        )
        .bind::<Array<SqlText>, _>(&of_teams)
        .bind::<Array<SqlText>, _>(&salespeople)
        .execute(conn)
        .await?;
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(teams::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    fn references(write: &TeamWrite) -> Vec<NamedReference> {
        write
            .members
            .iter()
            .filter_map(|member| named("/members", ReferenceKind::Salesperson, Some(member)))
            .collect()
    }
}

/// Builds the views of rows, with their members.
async fn views(
    conn: &mut AsyncPgConnection,
    rows: Vec<Row>,
) -> Result<Vec<TeamView>, diesel::result::Error> {
    use team_members as t;
    let codes = rows.iter().map(|row| &row.code);
    let members: Vec<(Key, Key)> =
        t::table.filter(t::team_code.eq_any(codes)).order(t::all_columns).load(conn).await?;
    let mut of_team: HashMap<Key, Vec<Key>> = HashMap::new();
    for (team, salesperson) in members {
        of_team.entry(team).or_default().push(salesperson);
    }
    let view = |Row { id, code, name }| {
        let members = KeySet::stored(of_team.remove(&code).unwrap_or_default());
        TeamView { id, code, name, members }
    };
    Ok(rows.into_iter().map(view).collect())
}
