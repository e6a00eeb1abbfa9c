"""Skills: functions that agents found, proved by running them, and kept."""
