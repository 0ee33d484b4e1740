"""SQLite whose connections may be found broken, as those of a server may."""
