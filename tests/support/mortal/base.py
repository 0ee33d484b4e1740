"""The database engine. Django's own for SQLite believes that each connection works for ever."""

from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite
from django.db.utils import Error


class DatabaseWrapper(SQLite):
    def is_usable(self) -> bool:
        """Asks, as the engine of PostgreSQL does."""
        try:
            with self.cursor() as cursor:
                cursor.execute("SELECT 1")
        except Error:
            return False
        return True
