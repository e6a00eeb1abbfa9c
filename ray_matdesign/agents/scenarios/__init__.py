"""Small studies from question to report: functions an agent can call and a person can run."""
