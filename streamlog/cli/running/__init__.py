"""`streamlog run`: loading targets, running them together, knowing when they are done."""
