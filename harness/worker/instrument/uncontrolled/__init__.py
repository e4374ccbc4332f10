"""Notices uncontrolled actions: files elsewhere, sockets, programs, maps, C libraries, forked processes."""
