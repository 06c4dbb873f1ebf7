"""
The project broken on purpose, one line at a time, and the test that must go red for each.

`make mutations` applies each row to a copy of the tree and runs its test there; ARGS are words of the names to run.
What is broken here is what would lose an order, send one twice, or let a stop not hold:

    write-ahead skipped · a time-out trusted · the lock dropped · acknowledged early · resent once ·
    absence believed at once · a cancel wish forgotten · matched by broker id only · moved backwards ·
    hand and broker fills counted both · "timed out" as a 400 trusted · and their neighbours
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One break: where, the text that stands there exactly once, what it becomes, and the test that notices."""

    name: str
    file: str
    old: str
    new: str
    test: str


EXECUTION = "tests/orders/test_execution.py::test_"
GATEWAY = "tests/orders/test_kite_gateway.py::test_"
RECONCILIATION = "tests/orders/test_reconciliation.py::test_"
OF_THE_BOOK = "tests/orders/test_adversity_of_the_book.py::test_"
KILL_SWITCH = "tests/orders/test_kill_switch.py::test_"
GOVERNOR = "tests/orders/test_governor.py::test_"
ASKED = "tests/orders/test_asked.py::test_"
AT_ONCE = "tests/orders/test_staff_at_once.py::test_"

MUTATIONS = [
    # --- The governor -------------------------------------------------------------------------------------------------
    Mutation(
        "claim without looking for room",
        "orders/execution.py",
        "        if held := held_up(desk, order, waited, now):",
        "        if held := None:",
        GOVERNOR + "two_processes_do_not_both_take_the_last_slot",
    ),
    Mutation(
        "wait for room under the lock",
        "orders/execution.py",
        "            return held.pause or False",
        "            desk.pause(held.pause.total_seconds())\n            return False",
        GOVERNOR + "an_exit_waits_for_the_broker_s_second_and_never_under_the_lock",
    ),
    Mutation(
        "hold exits to the pace of entries",
        "orders/governor.py",
        "    if not opens(order):",
        "    if False:",
        GOVERNOR + "an_exit_does_not_wait_for_what_only_openings_are_held_to",
    ),
    Mutation(
        "let an exit wait for ever",
        "orders/governor.py",
        "        if not window.is_full or waited >= PATIENCE:",
        "        if not window.is_full or waited >= 9 * PATIENCE:",
        GOVERNOR + "an_exit_goes_after_a_second_however_full_it_is",
    ),
    Mutation(
        "leave nothing of the second to exits",
        "risk/engine/rates.py",
        "SECOND, BROKER_SECOND - SECOND_FOR_EXITS, now)",
        "SECOND, BROKER_SECOND, now)",
        "tests/risk/engine/test_rates.py::test_the_pace_is_held_at_its_limit_and_just_past_it",
    ),
    Mutation(
        "count a window one order too long",
        "risk/engine/rates.py",
        "        return self.count >= self.allowed",
        "        return self.count > self.allowed",
        "tests/risk/engine/test_rates.py::test_no_second_minute_or_day_of_any_clock_is_exceeded_and_every_exit_goes",
    ),
    Mutation(
        "count an order from its sending on",
        "orders/traffic.py",
        "    return now if status == OrderStatus.SUBMITTING else answered_at or submitted_at",
        "    return submitted_at",
        GOVERNOR + "an_order_counts_until_a_second_after_its_answer_and_while_it_has_none",
    ),
    Mutation(
        "count only what we sent",
        "orders/models/order.py",
        'exclude(origin=Origin.EXTERNAL, broker_order_id="")',
        "exclude(origin=Origin.EXTERNAL)",
        GOVERNOR + "orders_that_somebody_placed_elsewhere_count_and_one_that_was_ours_counts_once",
    ),
    Mutation(
        "begin a new second at midnight",
        "orders/traffic.py",
        "requested_on(desk.mode, trading_date(began), trading_date(now))",
        "requested_on(desk.mode, trading_date(now))",
        GOVERNOR + "midnight_in_mumbai_begins_a_new_day_but_not_a_new_second",
    ),
    Mutation(
        "go on after any number of 429",
        "orders/governor.py",
        "        if not is_turned_away_again(desk):",
        "        if True:",
        GOVERNOR + "two_429_in_a_row_turn_auto_trading_off_and_one_does_not",
    ),
    Mutation(
        "deny a signal that finds no room",
        "orders/deciding.py",
        "    if _must_wait_for_room(signal, assessment, portfolio, limits, now):\n        return None, []\n",
        "",
        GOVERNOR + "a_signal_without_room_waits_undecided_says_so_and_goes_when_there_is_room",
    ),
    Mutation(
        "look at every entry though there is no room",
        "orders/worker.py",
        "                break\n        return all(turns)",
        "        return all(turns)",
        GOVERNOR + "openings_behind_one_that_finds_no_room_are_not_looked_at_and_say_why_they_wait",
    ),
    Mutation(
        "ask for prices at once",
        "orders/broker/asked.py",
        "                pause((self._answered_at + self._span - now).total_seconds())\n",
        "",
        ASKED + "another_instrument_waits_for_the_rest_of_the_second_and_asks_for_both",
    ),
    Mutation(
        "read positions as often as a signal asks",
        "orders/quotes.py",
        "desk.asked_positions.last(lambda: broker_positions(desk), clock=desk.clock)",
        "broker_positions(desk)",
        ASKED + "a_sell_that_waits_for_the_brokers_position_reads_it_once_a_second",
    ),
    # --- Sending ------------------------------------------------------------------------------------------------------
    Mutation(
        "skip the write-ahead",
        "orders/execution.py",
        "    claim = _claim_when_there_is_room(desk, order)\n    if claim is None:",
        "    claim = _Claim(boot_clock() + desk.rules.send_within_seconds, desk.clock())\n"
        "    if order.status != OrderStatus.PENDING:",
        EXECUTION + "the_attempt_is_committed_before_anything_is_sent",
    ),
    Mutation(
        "resend once",
        "orders/execution.py",
        "        put_in_doubt(desk, order, reason=str(doubt))\n    else:",
        "        desk.gateway.place(_request(order), send_by=claim.send_by)\n"
        "        put_in_doubt(desk, order, reason=str(doubt))\n    else:",
        EXECUTION + "an_unknown_outcome_is_in_doubt_stops_signals_and_is_not_sent_again",
    ),
    Mutation(
        "treat an unknown outcome as a refusal",
        "orders/execution.py",
        "        put_in_doubt(desk, order, reason=str(doubt))\n    else:",
        "        _conclude(desk, order, OrderStatus.REJECTED, note=str(doubt))\n    else:",
        EXECUTION + "an_unknown_outcome_is_in_doubt_stops_signals_and_is_not_sent_again",
    ),
    Mutation(
        "let a second sender judge an order on its way",
        "orders/execution.py",
        "        if order.status != OrderStatus.PENDING:\n            return False\n",
        "",
        EXECUTION + "an_order_on_its_way_is_not_withdrawn_by_a_second_sender",
    ),
    Mutation(
        "move without looking at what it was",
        "orders/models/order.py",
        "Order.objects.filter(pk=self.pk, status=before).update(**changes)",
        "Order.objects.filter(pk=self.pk).update(**changes)",
        "tests/orders/test_lifecycle.py::test_a_copy_that_knows_an_older_status_does_not_move_the_order",
    ),
    Mutation(
        "send however late",
        "orders/broker/deadline.py",
        "if self.send_by is not None and boot_clock() > self.send_by:",
        "if False:",
        GATEWAY + "not_a_byte_leaves_too_late",
    ),
    Mutation(
        "count the time to send from after the claim",
        "orders/execution.py",
        "gateway.place(_request(order), send_by=claim.send_by)",
        "gateway.place(_request(order), send_by=boot_clock() + desk.rules.send_within_seconds)",
        "tests/orders/test_adversity.py::test_a_sender_paused_right_after_its_claim_sends_nothing_once_the_order_"
        "was_given_up",
    ),
    Mutation(
        "let an answer overwrite what the book showed",
        "orders/execution.py",
        "        if order.status not in {OrderStatus.SUBMITTING, OrderStatus.IN_DOUBT}:\n            return",
        "        if False:\n            return",
        "tests/orders/test_adversity.py::test_a_refusal_that_arrives_after_the_book_showed_the_order_does_not_"
        "overwrite_it",
    ),
    Mutation(
        "drop the lock",
        "risk/models/switch.py",
        "return self.select_for_update().get(mode=mode)",
        "return self.get(mode=mode)",
        EXECUTION + "two_signals_cannot_share_the_last_trade_of_the_day",
    ),
    Mutation(
        "acknowledge early",
        "orders/receivers.py",
        "        record(\n            self._desk,\n            [",
        "        self._client.xack(self._stream, self._group, *[entry_id for entry_id, _ in taken])\n"
        "        record(\n            self._desk,\n            [",
        "tests/orders/test_receivers.py::test_what_could_not_be_written_down_is_not_acknowledged_and_written_down_"
        "later",
    ),
    # --- What an answer means -----------------------------------------------------------------------------------------
    Mutation(
        "trust a time-out",
        "orders/broker/kite.py",
        "raise OutcomeUnknown(_brief(error)) from error",
        "raise OrderRefused(_brief(error)) from error",
        GATEWAY + "an_answer_that_does_not_come_in_time_is_unknown",
    ),
    Mutation(
        "trust a 400 that says timed out",
        "orders/broker/kite.py",
        "_MAYBE_PLACED.search(str(error)) or error.code",
        "error.code",
        GATEWAY + "what_is_not_surely_refused_is_unknown",
    ),
    Mutation(
        "trust a 500",
        "orders/broker/kite.py",
        "frozenset({400, 403,",
        "frozenset({500, 400, 403,",
        GATEWAY + "what_is_not_surely_refused_is_unknown",
    ),
    Mutation(
        "trust a network error by its status",
        "orders/broker/kite.py",
        "(isinstance(error, NetworkException) and error.code != TOO_MANY_REQUESTS)",
        "False",
        GATEWAY + "what_is_not_surely_refused_is_unknown",
    ),
    Mutation(
        "take anything for an order id",
        "orders/broker/kite.py",
        "if not isinstance(answer, str) or not answer.isalnum():",
        "if False:",
        GATEWAY + "an_answer_that_cannot_be_made_sense_of_is_unknown",
    ),
    # --- In doubt, and the book ---------------------------------------------------------------------------------------
    Mutation(
        "believe absence at once",
        "orders/comparison.py",
        "return book.as_of > order.submitted_at + absence_window",
        "return True",
        RECONCILIATION + "absence_proves_something_only_in_a_read_begun_after_the_window",
    ),
    Mutation(
        "believe one read",
        "orders/reconciliation.py",
        "        elif as_of > order.missed_at:\n",
        "        else:\n",
        OF_THE_BOOK + "two_books_that_began_to_be_read_in_the_same_moment_are_one_read",
    ),
    Mutation(
        "believe a book that could not all be read",
        "orders/comparison.py",
        "if not lacks_known and not book.unreadable:",
        "if not lacks_known:",
        OF_THE_BOOK + "a_book_that_could_not_all_be_read_proves_nothing_about_one_in_doubt",
    ),
    Mutation(
        "believe the book of another day",
        "orders/comparison.py",
        "if order.pk not in seen and order.trading_date == book_date]",
        "if order.pk not in seen]",
        RECONCILIATION + "absence_from_the_book_of_another_day_proves_nothing",
    ),
    Mutation(
        "believe a book read across midnight",
        "orders/reconciliation.py",
        "    if trading_date(desk.clock()) != trading_date(as_of):",
        "    if False:",
        "tests/orders/test_in_doubt.py::test_a_book_read_across_midnight_proves_nothing_by_absence",
    ),
    Mutation(
        "match by broker id only",
        "orders/comparison.py",
        "ours = by_tag.get(report.tag) or by_broker_id.get(report.broker_order_id)",
        "ours = by_broker_id.get(report.broker_order_id)",
        RECONCILIATION + "an_order_in_doubt_is_found_by_its_tag",
    ),
    Mutation(
        "leave a late appearance alone",
        "orders/reconciliation.py",
        "revived = inferred and not",
        "revived = False and not",
        RECONCILIATION + "a_late_appearance_is_adopted_an_incident_and_asked_to_cancel",
    ),
    Mutation(
        "let a report move an order backwards",
        "orders/models/order.py",
        "        if not may_follow(before, to):\n            return False\n",
        "",
        "tests/orders/test_lifecycle.py::test_advance_moves_where_the_table_allows_and_nowhere_else",
    ),
    Mutation(
        "let an older book overtake a newer one",
        "orders/reconciliation.py",
        "older = _is_between(as_of, order.book_as_of, now)",
        "older = False",
        OF_THE_BOOK + "an_older_book_taken_over_after_a_newer_one_changes_nothing",
    ),
    Mutation(
        "take a sender for dead before its time",
        "orders/models/order.py",
        "Q(answer_by__lt=now) | Q(submitted_at__gt=now + FUTURE_MAX)",
        "Q(submitted_at__isnull=False)",
        EXECUTION + "an_order_whose_answer_is_overdue_is_in_doubt_and_not_before",
    ),
    Mutation(
        "count hand and broker fills both",
        "orders/counted_fills.py",
        "(marked.quantity if marked else 0) - sum(fill.quantity for fill in by_broker)",
        "(marked.quantity if marked else 0)",
        "tests/orders/test_by_hand.py::test_the_brokers_own_trades_replace_what_was_marked",
    ),
    # --- Stopping -----------------------------------------------------------------------------------------------------
    Mutation(
        "forget the cancel wish in SUBMITTING",
        "orders/models/order.py",
        "        if not (self.is_unfinished or self.works_at_the_broker):\n            return False\n",
        "        if self.status == OrderStatus.SUBMITTING or not (self.is_unfinished or self.works_at_the_broker):\n"
        "            return False\n",
        EXECUTION + "a_cancel_wished_for_while_sending_is_carried_out_once_the_id_is_known",
    ),
    Mutation(
        "leave the cancel to whoever comes by",
        "orders/execution.py",
        "        if order.cancel_tried_at is None:  # a halt came",
        "        if False:  # a halt came",
        KILL_SWITCH + "what_was_accepted_is_cancelled_without_waiting_for_anybodys_turn",
    ),
    Mutation(
        "cancel once and believe it",
        "orders/reconciliation.py",
        "    if order.cancel_tried_at is None:\n        return True\n",
        "    return order.cancel_tried_at is None\n",
        KILL_SWITCH + "a_cancel_that_comes_to_nothing_is_repeated_until_the_book_confirms",
    ),
    Mutation(
        "cancel first and halt afterwards",
        "orders/execution.py",
        "    switch.halt(desk.mode, by=by, reason=reason, now=desk.clock())\n"
        '    return cancel_all(desk, by=by, reason=f"trading halted: {reason}")',
        '    orders = cancel_all(desk, by=by, reason=f"trading halted: {reason}")\n'
        "    switch.halt(desk.mode, by=by, reason=reason, now=desk.clock())\n"
        "    return orders",
        EXECUTION + "a_halt_is_committed_before_any_cancel_leaves",
    ),
    Mutation(
        "send what was decided before the halt",
        "orders/execution.py",
        "    if control.state == TradingState.HALTED and not order.is_exit:\n",
        "    if False:\n",
        EXECUTION + "a_halt_while_an_order_waits_for_the_lock_withdraws_it",
    ),
    Mutation(
        "let a halt give up on a busy lock",
        "risk/control.py",
        "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0",
        "SELECT 1",
        "tests/orders/test_adversity.py::test_a_halt_waits_for_the_lock_longer_than_its_session_would",
    ),
    Mutation(
        "lift a person's halt after a login",
        "risk/control.py",
        'state=TradingState.HALTED.value, lifts_to="")',
        "state=TradingState.HALTED.value)",
        "tests/orders/test_login_refused.py::test_a_persons_halt_is_lifted_by_a_person_alone",
    ),
    # --- Staff --------------------------------------------------------------------------------------------------------
    Mutation(
        "let one form make two orders",
        "orders/deciding.py",
        "        if earlier := made_earlier(desk, wish.token):\n            return earlier\n",
        "",
        EXECUTION + "one_form_sent_twice_at_once_makes_one_order",
    ),
    Mutation(
        "exit what is being sold already",
        "orders/by_hand.py",
        "return max(0, ours - working)",
        "return max(0, ours)",
        "tests/orders/test_by_hand.py::test_an_exit_beside_a_sale_that_works_sells_the_rest",
    ),
    Mutation(
        "mark what came to work meanwhile",
        "orders/by_hand.py",
        "if read_later and order.works_at_the_broker:",
        "if False:",
        AT_ONCE + "a_fill_is_not_marked_when_the_order_came_to_work_while_the_book_was_read",
    ),
    # --- The market's hours -------------------------------------------------------------------------------------------
    Mutation(
        "send into the closing auction",
        "orders/execution.py",
        "        or _market_is_against(desk, order, now)\n",
        "",
        "tests/orders/test_session_hours.py::test_an_order_decided_in_the_session_is_not_sent_into_the_auction",
    ),
    Mutation(
        "open in a year whose holidays nobody entered",
        "risk/engine/market_rules.py",
        "if not market.year_complete and not closing:",
        "if False:",
        "tests/orders/test_session_hours.py"
        "::test_in_a_year_that_is_not_complete_a_position_is_closed_and_nothing_opened",
    ),
    Mutation(
        "open a day without the word",
        "risk/calendar.py",
        "if opened and word.strip() != CONFIRMATION:",
        "if False:",
        "tests/risk/test_calendar.py::test_what_opens_needs_the_word_and_changes_nothing_without_it",
    ),
]
