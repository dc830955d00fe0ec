"""Loops: one's own, a thread's, and the functions that other loops call."""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from typing import Any

from .. import _core
from ._base import SUCCESS
from ._connection import _LOST, _NO_CONN, _Connection
from .enums import LogLevel, MQTTErrorCode, _ConnectionState

_INVAL = MQTTErrorCode.MQTT_ERR_INVAL
_OVER = (_ConnectionState.MQTT_CS_DISCONNECTING, _ConnectionState.MQTT_CS_DISCONNECTED)

_LINGER = 0.05
"""How often a loop that is to stop looks whether the last message has been acknowledged, in seconds."""


class _Loop(_Connection):
    """Callbacks run in whichever loop this is, one at a time."""

    def loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        """Waits until something can be read or written, at most `timeout` seconds, and does all there is to do.

        Anything but MQTT_ERR_SUCCESS: there is no connection (any more).
        """
        return self._loop(timeout)

    def _loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        if timeout < 0.0:
            raise ValueError("Invalid timeout.")
        core = self._core
        if self._logger is not None:
            self._retell_packets()
        if self._pending:
            events = core.events()  # the rest of what a callback that raised has left
        elif self._sock is None or not core.has_transport():
            events = core.events()
            if not events:
                return _NO_CONN
        elif self._native:
            events = core.turn(timeout)
        else:
            events = self._wait(timeout)
        rc = self._dispatch(events) if events or self._pending else SUCCESS
        if self._thread is None:
            rc = self._settle() or rc
        elif self._hooked:
            self._tell_writes()
        if rc == SUCCESS and self._sock is None and not events:
            return _NO_CONN
        return rc

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """For other loops: call it when the socket can be read. Reads what is there, and calls callbacks."""
        if self._sock is None:
            return _NO_CONN
        return self._told(self._read_in())

    def loop_write(self) -> MQTTErrorCode:
        """For other loops: call it when the socket can be written and `want_write()` is true."""
        if self._sock is None:
            return _NO_CONN
        rc = self._told(self._write_out())
        return SUCCESS if rc == _NO_CONN else rc  # DISCONNECT was written, as it was to be

    def loop_misc(self) -> MQTTErrorCode:
        """For other loops: call it every second or so. Minds keep alive."""
        if self._sock is None:
            return _NO_CONN
        return self._told(self._core.misc())

    def _told(self, events: Any) -> MQTTErrorCode:
        try:
            rc = self._dispatch(events)
        finally:
            self._tell_writes()
        return self._settle() or rc

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """Runs the loop until `disconnect()` is called, and connects anew when a connection is lost.

        With `retry_first_connection` also when the first attempt of `connect_async` fails; that OSError is raised otherwise.
        """
        threaded = self._thread is threading.current_thread()
        if self._state is _ConnectionState.MQTT_CS_CONNECT_ASYNC:
            while not self._attempt(retry_first_connection):
                if self._wait_to_reconnect():
                    return _NO_CONN
                if self._sock is not None:
                    break  # somebody else has connected
        had_connection = False
        rc = SUCCESS
        while True:
            while True:
                had_connection = had_connection or self._sock is not None
                rc = self._loop(min(timeout, _LINGER) if self._thread_terminate else timeout)
                if self._thread_terminate and self._has_lingered():
                    return SUCCESS
                # A callback may have connected anew.
                if rc != SUCCESS and (self._sock is None or not self._core.has_transport()):
                    break
            if self._is_over() or not self._reconnect_on_failure:
                return rc
            if had_connection and self._wait_for_others():
                continue
            if self._wait_to_reconnect():
                return rc
            if had_connection and self._sock is not None:
                continue  # somebody else has connected
            if threaded and not self._host:
                # loop_start() came before connect(). There is nothing to try, and no attempt to count.
                self._reconnect_delay = None
                continue
            self._attempt(True)

    def _attempt(self, retry: bool) -> bool:
        """Connects. False, or the error unless there is to be another attempt, when that fails."""
        try:
            self.reconnect()
        except OSError:
            self._handle_on_connect_fail()
            if not retry:
                raise
            self._easy_log(LogLevel.MQTT_LOG_DEBUG, "Connection failed, retrying")
            return False
        return True

    def _is_over(self) -> bool:
        return self._thread_terminate or self._state in _OVER

    def _has_lingered(self) -> bool:
        """Whether all that was published has been sent, and acknowledged where that is due."""
        return self._abandoned or (self._core.out_len() == 0 and self._core.unsent() == 0)

    def _wait_for_others(self) -> bool:
        """Where another thread is connecting, waits for what comes of that. True when there is a connection then."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reconnecting or self._is_over())
        return self._sock is not None and not self._is_over()

    def _wait_to_reconnect(self) -> bool:
        """Waits as long as is due after so many attempts. True when the loop is over."""
        delay = self._reconnect_delay
        if delay is None:
            delay = self._reconnect_min_delay
        else:
            delay = min(delay * 2, self._reconnect_max_delay)
        self._reconnect_delay = delay
        until = time.monotonic() + delay
        with self._changed:
            while not self._is_over() and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
        return self._is_over()

    # The thread.

    _abandoned: bool
    """The interpreter ends: there is no time for what is not acknowledged."""

    def loop_start(self) -> MQTTErrorCode:
        """Runs the loop in a thread of its own. MQTT_ERR_INVAL if it does already."""
        self._retell()  # first: in a child process it says what is wrong, where this thread's attribute is the parent's
        if self._thread is not None:
            return _INVAL
        self._thread_terminate = False
        name = f"paho-mqtt-client-{_as_text(self._client_id)}"
        self._thread = thread = threading.Thread(target=self._thread_main, name=name, daemon=True)
        _running.add(self)
        try:
            thread.start()
        except BaseException:
            self._thread = None
            raise
        return SUCCESS

    def loop_stop(self) -> MQTTErrorCode:
        """Ends the thread that `loop_start` began, and the connection not. MQTT_ERR_INVAL if there is none.

        Returns when what was published has been sent and acknowledged, or the connection is lost. From a callback it returns
        at once.
        """
        thread = self._thread
        if thread is None:
            return _INVAL
        self._thread_terminate = True
        self._wake()
        if thread is not threading.current_thread():
            thread.join()
            if self._thread is thread:
                self._thread = None
        return SUCCESS

    def _thread_main(self) -> None:
        try:
            self.loop_forever(retry_first_connection=True)
        finally:
            if self._thread is threading.current_thread():
                self._thread = None


def _as_text(client_id: Any) -> str:
    return client_id.decode("utf-8", "replace") if isinstance(client_id, (bytes, bytearray)) else str(client_id)


_running: weakref.WeakSet[_Loop] = weakref.WeakSet()


def _stop_all() -> None:
    """Daemon threads that are inside of native code when the interpreter goes away can bring the process down with it."""
    threads = []
    for client in list(_running):
        thread = client._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            client._abandoned = client._thread_terminate = True
            client._wake()
            threads.append(thread)
    until = time.monotonic() + 1.0  # callbacks may take longer, and then so be it
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_core.after_fork)
