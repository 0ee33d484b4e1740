"""Sockets of streams that the server has handed over: one epoll for all, and a writer for each."""
