"""What agents remember: of a session, and across sessions, tasks and users."""
