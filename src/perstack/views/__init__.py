"""What people and programs read: pure folds of events."""
