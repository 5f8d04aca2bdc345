"""What arithmetic in small formats does: studies with error bars."""
