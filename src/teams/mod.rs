//! Teams of salespeople, to which tasks can be assigned.

use std::collections::HashMap;

use deserr::Deserr;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text as SqlText};
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, KeySet, Reference, Text};

use crate::platform::db::schema::{team_members, teams};
use crate::platform::http::constraints::{Dependent, NamedReference, ReferenceKind, named};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::Problem;
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError, ids_of};
use crate::platform::unit_of_work::UnitOfWork;

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

/// The resource `/v1/teams`.
pub struct Teams;

impl Resource for Teams {
    const NAMES: Names = Names {
        path: "/v1/teams",
        singular: "team",
        plural: "teams",
        one: "a team",
        tag: "Reference data",
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
    const HOLDERS: &'static [Dependent] = &[Dependent {
        what: "tasks",
        count: "SELECT count(*) AS count FROM tasks WHERE team_code = $1",
    }];
    type Scope = ();
    type Write = TeamWrite;
    type View = TeamView;

    async fn list(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let query = teams::table.into_boxed();
        let query = query
            .filter(list.condition())
            .order(list.ordering())
            .limit(list.limit())
            .offset(list.offset());
        let rows = query.load(conn).await?;
        Ok(views(conn, rows).await?)
    }

    async fn count(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<i64, Problem> {
        Ok(teams::table
            .count()
            .into_boxed()
            .filter(list.filter_condition())
            .get_result(conn)
            .await?)
    }

    async fn find(
        conn: &mut AsyncPgConnection,
        (): &(),
        reference: &Reference,
        lock: bool,
    ) -> Result<Option<Self::View>, Problem> {
        let named =
            teams::id.nullable().eq(reference.id()).or(teams::code.nullable().eq(reference.key()));
        let query = teams::table.filter(named);
        let found = if lock {
            query.for_no_key_update().first(conn).await
        } else {
            query.first(conn).await
        };
        let rows = found.optional()?.into_iter().collect();
        Ok(views(conn, rows).await?.pop())
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        (): &(),
        writes: &[TeamWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let codes: Vec<Option<Key>> = writes.iter().map(Self::key).collect();
        let query = teams::table.filter(teams::code.eq_any(codes.iter().flatten()));
        let known = query.select((teams::code, teams::id)).load(conn).await?;
        Ok(ids_of(codes, known))
    }

    // No changed keys are recorded, since no price depends on a team.
    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<TeamWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        let conn = &mut *work.conn;
        // One order everywhere prevents deadlocks between concurrent batches.
        let mut rows: Vec<&RowWrite<TeamWrite>> = rows.iter().collect();
        rows.sort_by_key(|row| &row.write.code);
        let values: Vec<_> = rows
            .iter()
            .map(|RowWrite { id, write }| {
                (
                    teams::id.eq(*id),
                    write.code.as_ref().map(|code| teams::code.eq(code)),
                    teams::name.eq(&write.name),
                )
            })
            .collect();
        let insert = diesel::insert_into(teams::table).values(values);
        match if_exists {
            IfExists::Refuse => insert.execute(conn).await?,
            IfExists::Replace => {
                let change = insert.on_conflict(teams::code).do_update();
                change.set(teams::name.eq(excluded(teams::name))).execute(conn).await?
            }
        };
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

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> TeamWrite {
        TeamWrite {
            code: Some(view.code.clone()),
            name: view.name.clone(),
            members: view.members.clone(),
        }
    }

    fn key(write: &TeamWrite) -> Option<Key> {
        write.code.clone()
    }

    fn set_key(write: &mut TeamWrite, key: Key) {
        write.code = Some(key);
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
    rows: Vec<(Uuid, Key, Text<100>)>,
) -> Result<Vec<TeamView>, diesel::result::Error> {
    use team_members as t;
    let codes = rows.iter().map(|(_, code, _)| code);
    let members: Vec<(Key, Key)> =
        t::table.filter(t::team_code.eq_any(codes)).order(t::all_columns).load(conn).await?;
    let mut of_team: HashMap<Key, Vec<Key>> = HashMap::new();
    for (team, salesperson) in members {
        of_team.entry(team).or_default().push(salesperson);
    }
    let view = |(id, code, name): (Uuid, Key, Text<100>)| {
        let members = KeySet::stored(of_team.remove(&code).unwrap_or_default());
        TeamView { id, code, name, members }
    };
    Ok(rows.into_iter().map(view).collect())
}
