//! What boxes are told: numbered for each site, kept until the box says that it has it, and after.

use exchange::command::{Command, Numbered};
use exchange::wire::COMMANDS;
use serde_json::json;

use super::audit::{self, Entry};
use super::{Store, expected, from_json, to_json};
use crate::db::{DbError, Record, Transaction};

/// Numbers that a box may be ahead of us. It is ahead when this database was restored from a
/// backup; more than this is no mistake of ours.
const AHEAD: i64 = 1_000_000;

/// Appends a command for a site and returns its number.
///
/// # Errors
///
/// When the database fails.
pub fn push(tx: &mut dyn Transaction, site: &str, command: &Command) -> Result<i64, DbError> {
    begin(tx, site)?;
    let next = tx.query(
        "UPDATE command_counter SET n = n + 1 WHERE site = $1 RETURNING n",
        &[site.into()],
    )?;
    let number = next.first().ok_or_else(|| expected("a counter of commands"))?.int(0)?;
    tx.execute(
        "INSERT INTO command (site, number, body) VALUES ($1, $2, $3)",
        &[site.into(), number.into(), to_json(command)?.into()],
    )?;
    Ok(number)
}

/// Commands of a site behind a number, at most [`COMMANDS`], and whether there are more.
///
/// # Errors
///
/// When the database fails.
pub fn after(
    tx: &mut dyn Transaction,
    site: &str,
    cursor: i64,
) -> Result<(Vec<Numbered>, bool), DbError> {
    let one_more = i64::try_from(COMMANDS).unwrap_or(i64::MAX).saturating_add(1);
    let rows = tx.query(
        "SELECT number, body FROM command WHERE site = $1 AND number > $2
         ORDER BY number LIMIT $3",
        &[site.into(), cursor.into(), one_more.into()],
    )?;
    let commands = rows.iter().take(COMMANDS).map(numbered).collect::<Result<_, _>>()?;
    Ok((commands, rows.len() > COMMANDS))
}

/// The box has the commands up to this number. A box that is ahead of us makes us go on behind it,
/// because it passes over numbers that it had before.
///
/// # Errors
///
/// When the database fails.
pub fn acknowledged(tx: &mut dyn Transaction, site: &str, cursor: i64) -> Result<(), DbError> {
    if cursor <= 0 {
        return Ok(());
    }
    begin(tx, site)?;
    tx.execute(
        "UPDATE command_counter SET n = $1 WHERE site = $2 AND n < $1 AND n + $3 >= $1",
        &[cursor.into(), site.into(), AHEAD.into()],
    )?;
    tx.execute(
        "UPDATE command_counter SET acknowledged = $1
         WHERE site = $2 AND acknowledged < $1 AND n >= $1",
        &[cursor.into(), site.into()],
    )?;
    Ok(())
}

fn begin(tx: &mut dyn Transaction, site: &str) -> Result<(), DbError> {
    tx.execute(
        "INSERT INTO command_counter (site, n, acknowledged) VALUES ($1, 0, 0)
         ON CONFLICT (site) DO NOTHING",
        &[site.into()],
    )?;
    Ok(())
}

fn numbered(row: &Record) -> Result<Numbered, DbError> {
    Ok(Numbered { number: row.int(0)?, command: from_json(row.text(1)?, "a command")? })
}

impl Store {
    /// Tells a box to switch its model off, or on again.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn kill_switch(
        &self,
        site: &str,
        on: bool,
        reason: &str,
        actor: &str,
    ) -> Result<i64, DbError> {
        let now_ms = self.clock().now_ms();
        let command = Command::KillSwitch { on, reason: reason.to_owned() };
        self.write(|tx| {
            let number = push(tx, site, &command)?;
            let detail = json!({"on": on, "reason": reason, "command": number});
            let object = format!("site {site}");
            let entry =
                Entry { actor, action: "site.kill_switch", object: &object, detail: &detail };
            audit::append(tx, now_ms, &entry)?;
            Ok(number)
        })
    }

    /// The last command that a box has.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn acknowledged_command(&self, site: &str) -> Result<i64, DbError> {
        self.read(|tx| {
            let rows = tx.query(
                "SELECT acknowledged FROM command_counter WHERE site = $1",
                &[site.into()],
            )?;
            rows.first().map_or(Ok(0), |row| row.int(0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::store;

    fn kill(reason: &str) -> Command {
        Command::KillSwitch { on: true, reason: reason.to_owned() }
    }

    fn numbers(store: &Store, site: &str, cursor: i64) -> (Vec<i64>, bool) {
        let (commands, more) = store.write(|tx| after(tx, site, cursor)).unwrap();
        (commands.iter().map(|command| command.number).collect(), more)
    }

    #[test]
    fn every_site_has_numbers_of_its_own_without_gaps() {
        let (store, _) = store();
        let given = store.write(|tx| {
            let sites = ["a", "a", "b", "a"];
            sites.into_iter().map(|site| push(tx, site, &kill(site))).collect::<Result<Vec<_>, _>>()
        });
        assert_eq!(given.unwrap(), [1, 2, 1, 3]);
        assert_eq!(numbers(&store, "a", 1), (vec![2, 3], false));
        assert_eq!(numbers(&store, "c", 0), (vec![], false));
        let (commands, _) = store.write(|tx| after(tx, "b", 0)).unwrap();
        assert_eq!(commands, [Numbered { number: 1, command: kill("b") }]);
        // A transaction that fails uses up no number.
        let failed = store.write(|tx| {
            push(tx, "a", &kill("lost"))?;
            Err::<(), _>(expected("a failure"))
        });
        assert!(failed.is_err());
        assert_eq!(store.write(|tx| push(tx, "a", &kill("next"))).unwrap(), 4);
    }

    #[test]
    fn a_reply_has_a_bounded_number() {
        let (store, _) = store();
        let many = i64::try_from(COMMANDS).unwrap() + 1;
        store.write(|tx| (0..many).try_for_each(|_| push(tx, "a", &kill("")).map(drop))).unwrap();
        assert_eq!(numbers(&store, "a", 0), ((1..many).collect(), true));
        assert_eq!(numbers(&store, "a", 1), ((2..=many).collect(), false));
    }

    #[test]
    fn what_a_box_has_rises_and_a_box_that_is_ahead_is_followed() {
        let (store, _) = store();
        let say = |cursor| store.write(|tx| acknowledged(tx, "a", cursor)).unwrap();
        let next = || store.write(|tx| push(tx, "a", &kill(""))).unwrap();
        let has = || store.acknowledged_command("a").unwrap();
        assert_eq!((next(), has()), (1, 0));
        say(1);
        say(0);
        assert_eq!(has(), 1);
        say(40);
        assert_eq!((has(), next()), (40, 41));
        say(i64::MAX);
        assert_eq!((has(), next()), (40, 42));
    }
}
