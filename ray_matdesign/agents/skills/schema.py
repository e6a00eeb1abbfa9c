"""Tables of the library's file: index, statistics and history of skills."""

from __future__ import annotations

import sqlite3
import time

VERSION = 1

SCHEMA = """
CREATE TABLE skill (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, parent TEXT,
    status TEXT NOT NULL, reason TEXT NOT NULL, folder TEXT NOT NULL, signature TEXT NOT NULL,
    description TEXT NOT NULL, environment TEXT NOT NULL, source_hash TEXT NOT NULL,
    evidence TEXT NOT NULL, UNIQUE (name, version));
CREATE TABLE head (name TEXT PRIMARY KEY, id TEXT NOT NULL REFERENCES skill);
CREATE TABLE use (
    id INTEGER PRIMARY KEY, skill TEXT NOT NULL REFERENCES skill, task TEXT NOT NULL,
    solved INTEGER NOT NULL, at REAL NOT NULL);
CREATE INDEX use_of ON use (skill);
CREATE TABLE pair (
    id INTEGER PRIMARY KEY, skill TEXT NOT NULL REFERENCES skill, task TEXT NOT NULL,
    solved_with INTEGER NOT NULL, solved_without INTEGER NOT NULL, at REAL NOT NULL);
CREATE INDEX pair_of ON pair (skill);
CREATE TABLE verified (
    skill TEXT NOT NULL REFERENCES skill, environment TEXT NOT NULL, passed INTEGER NOT NULL,
    reason TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (skill, environment));
CREATE TABLE event (
    id INTEGER PRIMARY KEY, skill TEXT NOT NULL, what TEXT NOT NULL, reason TEXT NOT NULL,
    at REAL NOT NULL);
CREATE TABLE refusal (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, reason TEXT NOT NULL, duplicate_of TEXT,
    draft TEXT NOT NULL, at REAL NOT NULL);
CREATE VIRTUAL TABLE spoken USING fts5 (skill UNINDEXED, words, tokenize = 'unicode61');
"""


def record(connection: sqlite3.Connection, skill: str, what: str, reason: str) -> None:
    """Writes a line of a skill's history."""
    connection.execute(
        "INSERT INTO event (skill, what, reason, at) VALUES (?, ?, ?, ?)",
        (skill, what, reason, time.time()),
    )
