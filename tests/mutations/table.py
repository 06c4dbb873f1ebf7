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
PLAIN = "tests/orders/test_plain_matches.py::test_"
OF_THE_BOOK = "tests/orders/test_adversity_of_the_book.py::test_"
KILL_SWITCH = "tests/orders/test_kill_switch.py::test_"
GOVERNOR = "tests/orders/test_governor.py::test_"
ASKED = "tests/orders/test_asked.py::test_"
AT_ONCE = "tests/orders/test_staff_at_once.py::test_"
TURNED_AWAY = "tests/orders/test_turned_away.py::test_"
EXPOSURE = "tests/orders/test_exposure_acts.py::test_"
EXTERNAL = "tests/orders/test_include_external.py::test_"
SYMBOL_APPROVALS = "tests/risk/test_symbol_approvals.py::test_"
CALENDAR_APPROVALS = "tests/risk/test_calendar_approvals.py::test_"
FLATTENING = "tests/orders/test_flattening.py::test_"
ODDS = "tests/orders/test_flatten_against_odds.py::test_"
LOOKS = "tests/orders/test_consecutive_reads.py::test_"
IN_DOUBT = "tests/orders/test_in_doubt.py::test_"
STOPPING = "tests/orders/test_stopping.py::test_"
MODIFYING = "tests/orders/test_modifying.py::test_"
SECOND_FACTOR = "tests/orders/admin/test_second_factor.py::test_"
ROLES = "tests/orders/admin/test_roles.py::test_"
DAILY_LOGIN = "tests/orders/test_daily_login.py::test_"
RECKONING = "tests/orders/test_reckoning.py::test_"
END_OF_DAY = "tests/orders/test_end_of_day.py::test_"
ALERTING = "tests/orders/alerting/test_"
TRAIL = "tests/risk/test_audit_trail.py::test_"
SEALS = "tests/risk/test_audit_seals.py::test_"

SHADOW = "tests/orders/test_shadow.py::test_"
LINE = "tests/orders/test_line_proof.py::test_"
GOING_LIVE = "tests/orders/test_going_live.py::test_"
SMALL_LIMITS = "tests/orders/test_small_limits.py::test_"
MISSED = "tests/orders/test_missed_exits.py::test_"
REPLAYING = "tests/orders/test_replaying.py::test_"
SCREENING = "tests/orders/test_screening.py::test_"
BLOCKING = "tests/orders/admin/test_blocking.py::test_"
RESTORED = "tests/orders/test_restored.py::test_"
BACKUP = "tests/config/test_backup.py::test_"

MUTATIONS = [
    # --- The governor -------------------------------------------------------------------------------------------------
    Mutation(
        "claim without looking for room",
        "orders/execution.py",
        "        if held := room(against.limits, waited):",
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
        "        if _opens(order, own()):",
        "        if True:",
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
        '        default=Coalesce("answered_at", "submitted_at"),',
        '        default=F("submitted_at"),',
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
        "sent = Order.objects.requested_on(mode, first_day, today)",
        "sent = Order.objects.requested_on(mode, today).filter(Q(trading_date=first_day) | Q(trading_date=today))",
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
        "    if must_wait(signal, assessment, portfolio, limits, now):\n        return _Found()\n",
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
        'update_and_tell(self, changes, event, where={"status": before})',
        "update_and_tell(self, changes, event, where={})",
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
        "TradingControl.objects.select_for_update().filter(mode=mode)",
        "TradingControl.objects.filter(mode=mode)",
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
        "take over together what fills oddly",
        "orders/plain_matches.py",
        "return not _ends_short(order, match) and not _is_filled_oddly(match, kept)",
        "return not _ends_short(order, match)",
        PLAIN + "what_is_plain_goes_together_and_whatever_is_odd_by_itself",
    ),
    Mutation(
        "take over together what ended since the book was read",
        "orders/plain_matches.py",
        "for moment in (order.book_as_of, order.ended_at)):",
        "for moment in (order.book_as_of,)):",
        PLAIN + "what_is_plain_goes_together_and_whatever_is_odd_by_itself",
    ),
    Mutation(
        "drop a run with a row that is refused",
        "orders/reconciliation.py",
        "        return run\n",
        "        return []\n",
        PLAIN + "a_row_that_is_refused_keeps_no_run_from_being_taken_over",
    ),
    Mutation(
        "take a row for the one that stood in its place",
        "orders/broker/rows_as_sent.py",
        "text.startswith(before.text, at)",
        "True",
        "tests/orders/test_rows_as_sent.py::test_a_row_that_says_what_it_said_is_not_read_again_and_any_other_is",
    ),
    Mutation(
        "let a read that proves nothing open an incident",
        "orders/differences.py",
        "lacking = 0 if key in moved else short_of[key]",
        "lacking = short_of[key]",
        "tests/orders/test_positions_compared.py::test_each_position_is_noted_as_the_plain_rule_says_of_it_alone",
    ),
    Mutation(
        "believe one read",
        "orders/reconciliation.py",
        "        elif as_of > order.missed_at + a_look:\n",
        "        else:\n",
        OF_THE_BOOK + "two_books_that_began_to_be_read_in_the_same_moment_are_one_read",
    ),
    Mutation(
        "believe a book that could not all be read",
        "orders/comparison.py",
        "is_complete = not lacks_known and not book.unreadable",
        "is_complete = not lacks_known",
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
    # --- The ledger ---------------------------------------------------------------------------------------------------
    Mutation(
        "let a late fill follow what came after it",
        "orders/reckoning.py",
        " or (day.last_key and steps[0][0] <= day.last_key)",
        "",
        RECKONING + "of_two_fills_of_an_order_in_one_second_the_name_says_which_is_later",
    ),
    Mutation(
        "let a fill of yesterday be one of today",
        "orders/reckoning.py",
        "steps[0][0][0] < midnight(day.trading_date) or ",
        "",
        RECKONING + "what_is_late_for_yesterday_but_later_than_all_of_it_changes_the_opening_too",
    ),
    Mutation(
        "keep an opening that a mark given way was part of",
        "orders/reckoning.py",
        "fill.pk > day.last_fill] if counted else fills",
        "fill.pk > day.last_fill]",
        RECKONING + "a_mark_of_yesterday_that_gives_way_today_reads_from_the_beginning",
    ),
    Mutation(
        "take a stranger's fills for counted",
        "orders/reckoning.py",
        "if fill.pk <= day.last_fill) == filled_before",
        "if fill.pk <= day.last_fill) >= 0",
        RECKONING + "the_fills_of_a_stranger_that_is_ours_are_not_taken_for_counted",
    ),
    Mutation(
        "go back to a day from one that comes after it",
        "orders/reckoning.py",
        "day.trading_date is None or day.trading_date > on",
        "day.trading_date is None",
        RECKONING + "a_clock_that_was_set_back_a_day_reads_from_the_beginning",
    ),
    Mutation(
        "believe a day that another wrote the position beside",
        "orders/ledger.py",
        "if day and day.reckoned_at == position.updated_at else",
        "if day else",
        RECKONING + "a_day_that_says_nothing_is_reckoned_from_the_beginning",
    ),
    Mutation(
        "sum the day of yesterday up as today's",
        "orders/day.py",
        "        if not in_force or its_date != day:",
        "        if not in_force:",
        "tests/orders/test_day_so_far.py::test_of_a_day_that_is_over_the_fills_are_added_up",
    ),
    Mutation(
        "overlook what a day not in force may have traded",
        "orders/day.py",
        "    may_have = unreckoned | ",
        "    may_have = ",
        "tests/orders/test_day_so_far.py::test_where_no_day_is_in_force_the_fills_are_added_up",
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
        "orders/withdrawing.py",
        "    if control.state == TradingState.HALTED:\n",
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
        "        earlier = made_earlier(desk, wish.token)\n",
        "        earlier = None\n",
        EXECUTION + "one_form_sent_twice_at_once_makes_one_order",
    ),
    Mutation(
        "exit what is being sold already",
        "orders/by_hand.py",
        "for order in closing]",
        "for order in []]",
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
        "orders/withdrawing.py",
        "        or market_is_against(desk, order.decision, now)\n",
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
    Mutation(
        "let the author answer",
        "risk/four_eyes.py",
        "    if person.pk == wish.author_account or person.get_username() == wish.author:",
        "    if False:",
        SYMBOL_APPROVALS + "nobody_approves_what_he_wished_superuser_or_not",
    ),
    Mutation(
        "let whoever made the author's account approve",
        "risk/four_eyes.py",
        " or handed_out_by(author) & {second.pk, None}:",
        ":",
        "tests/risk/test_second_person.py::test_whoever_made_the_authors_account_does_not_approve",
    ),
    Mutation(
        "let who was shut out loosen when the minute is over",
        "risk/due_changes.py",
        "    if gone := changes[0].author_is_gone():",
        '    if gone := "":',
        "tests/risk/test_second_person.py::test_what_was_confirmed_by_who_was_shut_out_meanwhile_takes_no_effect",
    ),
    Mutation(
        "take a right given after the wish",
        "risk/four_eyes.py",
        " and gave.pk < asked for gave",
        " for gave",
        "tests/risk/test_second_person.py::test_who_has_the_right_since_the_wish_does_not_approve_it_whoever_gave_it",
    ),
    Mutation(
        "write the trail where the session's path leads",
        "risk/audit/triggers.py",
        "LANGUAGE plpgsql SET {_path()}",
        "LANGUAGE plpgsql",
        "tests/risk/test_audit_attacks.py::test_no_session_leads_its_entries_elsewhere",
    ),
    Mutation(
        "release everybody",
        "orders/admin/lock_outs.py",
        "        _same(attempt).delete()",
        "        AccessAttempt.objects.all().delete()",
        "tests/orders/admin/test_lock_outs.py::test_a_release_is_of_that_name_at_that_address_and_of_nobody_else",
    ),
    Mutation(
        "keep a login that was overtaken",
        "orders/daily_login.py",
        "began_at < kept_at <= desk.clock():",
        "False:",
        "tests/orders/test_daily_login.py::test_of_two_logins_at_once_the_one_that_kite_made_last_is_kept",
    ),
    Mutation(
        "let a session outlive its second factor",
        "orders/second_factor.py",
        "                session.delete()",
        "                pass",
        "tests/orders/admin/test_wanting_more.py"
        "::test_a_second_factor_that_was_reset_ends_the_sessions_that_it_had_proven",
    ),
    Mutation(
        "take the rights of the page for those of now",
        "risk/four_eyes.py",
        "    person = User.objects.filter(pk=by.pk, is_active=True).first()",
        "    person = by",
        CALENDAR_APPROVALS + "who_lost_the_right_or_never_had_it_approves_nothing",
    ),
    Mutation(
        "loosen a symbol at once",
        "risk/approvals.py",
        "    at_once = {**tightened, **(loosened if house.loosens_at_once else {})}",
        "    at_once = {**tightened, **loosened}",
        SYMBOL_APPROVALS + "a_mixed_edit_tightens_now_and_lets_the_rest_wait",
    ),
    Mutation(
        "read a symbol's limits as they are stored",
        "risk/limit_versions.py",
        "    if own is not None and own.is_due:",
        "    if False:",
        SYMBOL_APPROVALS + "what_holds_for_a_time_returns_to_the_microsecond_whoever_reads",
    ),
    Mutation(
        "open the market without its second person",
        "risk/calendar_approvals.py",
        "        if house.loosens_at_once or not opened:",
        "        if True:",
        CALENDAR_APPROVALS + "what_opens_waits_for_a_second_person_and_says_what_it_opens",
    ),
    Mutation(
        "approve on a calendar that was changed",
        "risk/calendar_approvals.py",
        "        if stale := wish.stale_because(calendar.last_change()):\n"
        "            wish.advance(Status.STALE, at=now, note=stale)\n        else:\n            name",
        "        if stale := None:\n            pass\n        else:\n            name",
        CALENDAR_APPROVALS + "a_change_behind_our_back_is_noticed_at_the_answer",
    ),
    Mutation(
        "open the market within the minute",
        "risk/calendar_approvals.py",
        "filter(due_at__lte=now)",
        "filter(due_at__isnull=False)",
        CALENDAR_APPROVALS + "in_live_the_word_opens_a_minute_later_to_the_microsecond",
    ),
    Mutation(
        "answer for the calendar without the lock",
        "risk/calendar.py",
        "    for mode in sorted(Mode.values):\n        TradingControl.objects.locked(mode)\n",
        "    return\n",
        "tests/orders/test_wishes_at_once.py::test_a_double_click_on_the_calendar_waits_once",
    ),
    Mutation(
        "hold no decision to a lower ceiling",
        "risk/engine/loosening.py",
        "    return replace(limits, **lowered) if lowered else limits",
        "    return limits",
        "tests/orders/test_limits_at_once.py::test_before_that_start_a_decision_is_held_to_the_ceiling_already",
    ),
    Mutation(
        "leave an upgrade without its version",
        "risk/limit_versions.py",
        "        if not lacking:\n            return",
        "        if True:\n            return",
        "tests/risk/test_limit_versions.py::test_limits_that_an_upgrade_brought_are_kept_as_a_version_once",
    ),
    # --- Past a limit, and after a 429 --------------------------------------------------------------------------------
    Mutation(
        "act at an exposure limit, not past it",
        "orders/losses.py",
        "    if worth > limit and limits.exposure_breach_reduces:",
        "    if worth >= limit and limits.exposure_breach_reduces:",
        EXPOSURE + "at_the_limit_it_is_told_and_one_tick_past_it_only_closing_goes_on",
    ),
    Mutation(
        "trip without the wishes to cancel",
        "orders/losses.py",
        '        entries = let_only_closing_go(desk, by="executor", reason=trip.reason)',
        '        entries = []\n        switch.reduce_only(desk.mode, by="executor", reason=trip.reason, now=now)',
        EXPOSURE + "a_trip_is_committed_before_the_broker_is_asked_to_cancel_anything",
    ),
    Mutation(
        "stop again what a person resumed",
        "orders/losses.py",
        "        if Incident.objects.told(trip.kind, mode=desk.mode, subject=subject):\n            return  # another",
        "        if False:\n            return  # another",
        EXPOSURE + "two_that_see_it_at_once_stop_once",
    ),
    Mutation(
        "believe a 429 at once",
        "orders/comparison.py",
        "    return set_back or book.as_of > order.ended_at + window",
        "    return True",
        TURNED_AWAY + "an_exit_that_was_turned_away_goes_again_when_two_books_lack_it",
    ),
    Mutation(
        "let a person exit beside what works in spite of its 429",
        "orders/by_hand.py",
        "    _check_what_was_turned_away(desk, position, by=by)\n    return place",
        "    return place",
        TURNED_AWAY + "a_person_s_exit_waits_while_the_one_that_was_turned_away_works_after_all",
    ),
    Mutation(
        "count a 429 as a rejection",
        "orders/rejections.py",
        "        .exclude(status=OrderStatus.REJECTED, status_reason__startswith=TURNED_AWAY)\n",
        "",
        TURNED_AWAY + "what_was_turned_away_is_no_rejection_and_breaks_no_streak",
    ),
    Mutation(
        "leave entries at the broker when its refusals stop new exposure",
        "orders/governor.py",
        '            order.request_cancel(by="executor", reason=f"reduce only: {reason}", at=now)\n',
        "            pass\n",
        "tests/orders/test_further_controls.py::test_entries_that_rest_are_cancelled_when_refusals_stop_new_exposure",
    ),
    Mutation(
        "send many cancels at once",
        "orders/execution.py",
        "        pause_before_cancel(desk)\n",
        "",
        TURNED_AWAY + "25_cancels_at_once_keep_to_the_broker_s_second_and_all_of_them_arrive",
    ),
    Mutation(
        "let REDUCE_ONLY keep a crossing buy",
        "orders/deciding.py",
        " if each.applies == Applies.ALWAYS or each.outcome != Outcome.DENIED}",
        "}",
        "tests/orders/test_crossing_buys.py"
        "::test_with_nothing_held_yet_the_buy_that_would_open_it_is_cancelled_all_the_same",
    ),
    Mutation(
        "take what is external for nothing until it is known",
        "orders/portfolio.py",
        "            line.external = None",
        "            line.external = 0",
        EXTERNAL + "from_the_switch_to_the_next_reading_nothing_is_opened",
    ),
    Mutation(
        "forget a fill that the broker's number lacks",
        "orders/external.py",
        "        return max(self.broker, self.shares, key=abs) - self.own",
        "        return self.broker - self.own",
        EXTERNAL + "what_is_external_is_the_broker_s_number_beyond_ours_at_worst",
    ),
    # --- Getting out --------------------------------------------------------------------------------------------------
    Mutation(
        "give an exit another id at every turn",
        "orders/flattening.py",
        '    return f"flatten:{each.flatten.token}:',
        '    return f"flatten:{id(each)}:{each.flatten.token}:',
        FLATTENING + "crashed_before_an_exit_was_sent_it_is_sent_or_made_anew_once",
    ),
    Mutation(
        "sell while a buy of it still works",
        "orders/flattening.py",
        "        if entry := next((order for order in others if opens(order)",
        "        if entry := next((order for order in [] if opens(order)",
        FLATTENING + "a_buy_that_rests_is_cancelled_first_and_the_exit_waits_for_its_end",
    ),
    Mutation(
        "forget what a crossing buy brought",
        "orders/flattening.py",
        "        _take_in_what_is_open(desk, wish, desk.clock())\n",
        "",
        FLATTENING + "what_a_buy_of_another_symbol_brings_while_it_is_cancelled_is_sold_too",
    ),
    Mutation(
        "exit again on the first word of a 429",
        "orders/flattening.py",
        "        return order.is_borne_out",
        "        return True",
        FLATTENING + "after_a_429_another_exit_waits_until_the_book_can_say_that_it_was_true",
    ),
    Mutation(
        "go on with a flatten after a halt",
        "orders/flattening.py",
        "    if control.state == TradingState.HALTED and not (control.lifts_to or wish.while_halted):",
        "    if False:",
        FLATTENING + "a_later_word_of_a_person_ends_it_though_its_process_died_after_it",
    ),
    Mutation(
        "make an exit of a flatten that ended while the broker was asked",
        "orders/deciding.py",
        "        wish.check(control)\n",
        "",
        FLATTENING + "what_is_stopped_while_the_broker_is_asked_makes_no_exit_any_more",
    ),
    Mutation(
        "let a buy of another day keep everybody in",
        "orders/flattening.py",
        "        today = [order for order in _working(desk, position) if order.trading_date == desk.today()]",
        "        today = _working(desk, position)",
        FLATTENING + "a_buy_of_yesterday_that_nobody_closed_yet_keeps_nobody_from_getting_out",
    ),
    Mutation(
        "wait for a clock that was set back before another exit",
        "orders/flattening.py",
        "    if order.ended_at > latest:",
        "    if False:",
        FLATTENING + "a_clock_that_was_set_back_does_not_hold_the_next_exit_up",
    ),
    Mutation(
        "exit again before the book was read",
        "orders/flattening.py",
        "        if last is not None and not _read_since(desk, last):",
        "        if False:",
        FLATTENING + "another_exit_waits_for_a_book_that_was_read_after_the_one_before",
    ),
    Mutation(
        "carry a flatten over into another day",
        "orders/flattening.py",
        "    if wish.trading_date != desk.today():",
        "    if False:",
        FLATTENING + "it_is_not_carried_over_into_another_day",
    ),
    Mutation(
        "restrict trading and leave the entries at the broker",
        "orders/stopping.py",
        '    ask_to_cancel(desk, entries, by=by, reason=f"reduce only: {reason}")\n',
        "",
        STOPPING + "reduce_only_cancels_what_would_open_and_leaves_what_closes",
    ),
    # --- Modifications ------------------------------------------------------------------------------------------------
    Mutation(
        "send a modification without saying so before",
        "orders/modifying.py",
        "    send_by = _claim_when_there_is_room(desk, modification)\n",
        "    send_by = boot_clock() + 2 if modification.state == _S.WISHED else None\n",
        MODIFYING + "one_whose_sender_died_is_in_doubt_and_then_what_the_book_says",
    ),
    Mutation(
        "decide a modification without the lock",
        "orders/modifying.py",
        "        control = TradingControl.objects.locked(desk.mode)\n        if earlier := _made_earlier",
        "        control = TradingControl.objects.get(mode=desk.mode)\n        if earlier := _made_earlier",
        "tests/orders/test_modifying_at_once.py::test_two_orders_modified_at_once_do_not_share_the_last_room",
    ),
    Mutation(
        "count only the terms that the book showed",
        "orders/models/order.py",
        '            quantity_at_worst=Greatest("quantity", "under_way__quantity"),',
        '            quantity_at_worst=Greatest("quantity", "quantity"),',
        MODIFYING + "an_order_cannot_use_the_room_that_a_modification_in_doubt_may_have_taken",
    ),
    Mutation(
        "send a modification in doubt again",
        "orders/modifying.py",
        "        if modification.state != _S.WISHED:\n            return False",
        "        if modification.state != _S.WISHED:\n            return modification.state == _S.IN_DOUBT",
        MODIFYING + "each_answer_of_the_broker_ends_as_its_book_says_and_nothing_is_sent_again",
    ),
    Mutation(
        "take an accepted modification for one that holds",
        "orders/modifying.py",
        '        _conclude(desk, modification, _S.ACCEPTED, "the broker took the request',
        '        _conclude(desk, modification, _S.TOOK_EFFECT, "the broker took the request',
        MODIFYING + "an_order_has_its_new_terms_once_the_broker_s_book_shows_them",
    ),
    Mutation(
        "believe at once that a modification did not come about",
        "orders/terms.py",
        "    elif as_of > modification.sent_at + wait:",
        "    else:",
        MODIFYING + "a_book_proves_that_it_did_not_come_about_once_it_was_read_late_enough",
    ),
    Mutation(
        "call an order filled that may have grown",
        "orders/ledger.py",
        " and filled >= order.fillable_quantity:",
        ":",
        MODIFYING + "fills_beyond_the_terms_before_are_no_overfill_and_no_end_while_a_modification_is_under_way",
    ),
    Mutation(
        "judge a modification beside the rest that it replaces",
        "orders/modifying.py",
        "now=now, without=order)",
        "now=now)",
        MODIFYING + "its_own_rest_is_no_part_of_the_book_that_it_joins",
    ),
    Mutation(
        "let a flatten that is over swallow another",
        "orders/flattening.py",
        "wish or _still_under_way(desk, control)",
        "wish or Flatten.objects.under_way(desk.mode).first()",
        ODDS + "pressed_on_another_day_than_one_that_nobody_ended_it_is_a_flatten_of_its_own",
    ),
    Mutation(
        "let a sale at a price hold shares in a flatten",
        "orders/flattening.py",
        "        _ask_for_what_holds_shares(desk, wish)\n",
        "",
        ODDS + "a_sale_at_a_price_that_is_placed_meanwhile_does_not_hold_the_shares",
    ),
    Mutation(
        "call it flat while a 429 may have been a lie",
        "orders/flattening.py",
        " or not all(_read_since(desk, order) for order in ended)",
        "",
        ODDS + "a_buy_that_was_answered_429_and_works_is_waited_for",
    ),
    Mutation(
        "leave a position open on one reading",
        "orders/flattening.py",
        " or each.said != str(nothing):",
        ":",
        ODDS + "one_reading_that_shows_nothing_is_not_enough_whatever_was_tried_before",
    ),
    Mutation(
        "exit with the product of the desk",
        "orders/by_hand.py",
        "        product=position.product,\n",
        "",
        ODDS + "each_product_of_a_symbol_is_closed_as_what_it_is",
    ),
    Mutation(
        "bear a 429 out by a book that is not complete",
        "orders/comparison.py",
        "    window = turned_away_window if is_complete else absence_window",
        "    window = turned_away_window",
        ODDS + "a_book_that_cannot_prove_anything_lets_no_second_exit_go",
    ),
    Mutation(
        "let a person exit again by an incomplete book",
        "orders/by_hand.py",
        "            _check_it_is_complete(desk, order, book)\n",
        "",
        TURNED_AWAY + "a_book_that_is_not_complete_lets_no_person_exit_twice",
    ),
    Mutation(
        "take two answers of one moment for two looks",
        "orders/reconciliation.py",
        "as_of > order.missed_at + a_look:",
        "as_of > order.missed_at:",
        LOOKS + "two_reads_in_one_moment_are_one_look",
    ),
    Mutation(
        "wait for a clock that was set back",
        "orders/reconciliation.py",
        " or order.missed_at > as_of + FUTURE_MAX:",
        ":",
        LOOKS + "a_clock_that_was_set_back_does_not_keep_a_vanished_order_from_being_told",
    ),
    Mutation(
        "leave the modification of what was marked as filled",
        "orders/by_hand.py",
        "        if not order.is_unfinished:  # no book",
        "        if False:  # no book",
        MODIFYING + "marking_an_order_as_filled_ends_its_modification",
    ),
    Mutation(
        "go on trading with a modification in doubt",
        "orders/modifying.py",
        '        switch.auto_trading_off(desk.mode, by="executor", reason=why, now=now)\n',
        "",
        MODIFYING + "each_answer_of_the_broker_ends_as_its_book_says_and_nothing_is_sent_again",
    ),
    Mutation(
        "count a modification's 429 for none",
        "orders/modifying.py",
        "    stop_when_turned_away_again(desk, answer)\n",
        "",
        TURNED_AWAY + "a_modification_turned_away_after_an_order_was_is_the_second_in_a_row",
    ),
    Mutation(
        "leave the incident of a doubt that ended",
        "orders/reconciliation.py",
        "    resolve_ended_doubts(desk)\n",
        "",
        IN_DOUBT + "the_incident_of_a_doubt_is_resolved_by_the_book_that_ends_it",
    ),
    Mutation(
        "resolve the incident of a doubt that lasts",
        "orders/differences.py",
        "if order is None or order.is_in_doubt:",
        "if order is None:",
        IN_DOUBT + "another_order_s_end_leaves_the_incident_of_a_doubt_open",
    ),
    Mutation(
        "let a person's cancel run out of time",
        "orders/execution.py",
        "        switch.wait_for_the_lock()\n        TradingControl.objects.locked(desk.mode)\n"
        "        order.read_again",
        "        TradingControl.objects.locked(desk.mode)\n        order.read_again",
        FLATTENING + "stopping_waits_for_a_slow_database_longer_than_its_session_would",
    ),
    Mutation(
        "forget why a script modified an order",
        "orders/modifying.py",
        "@explained\ndef modify(",
        "def modify(",
        "tests/orders/test_reasons_in_the_trail.py::test_a_modification",
    ),
    Mutation(
        "give the room of what was turned away to the next order",
        "orders/portfolio.py",
        "Order.objects.may_fill(mode, today).at_worst()",
        "Order.objects.unfinished(mode).filter(Q(trading_date=today) | ~Q(trading_date=today)).at_worst()",
        TURNED_AWAY + "an_entry_that_was_turned_away_takes_its_room_until_the_book_bears_it_out",
    ),
    Mutation(
        "count what was turned away among the open orders",
        "orders/portfolio.py",
        "    return lines, _unfinished(orders)",
        "    return lines, orders",
        TURNED_AWAY + "an_entry_that_was_turned_away_is_no_order_more",
    ),
    Mutation(
        "forget what the book told a person's Exit",
        "orders/by_hand.py",
        "        for order in turned_away.all():",
        "        for order in turned_away.none():",
        TURNED_AWAY + "a_person_can_press_exit_again",
    ),
    Mutation(
        "restate a position that a 429 may change",
        "orders/adjusting.py",
        "Order.objects.may_fill(position.mode, trading_date(now))",
        "Order.objects.unfinished(position.mode)",
        TURNED_AWAY + "a_position_is_not_restated_while_a_429_may_have_been_a_lie",
    ),
    Mutation(
        "believe a modification's 429 at once",
        "orders/modifying.py",
        "modification.advance(_S.IN_DOUBT, at=now, note=note, answered_at=now)",
        "modification.advance(_S.REFUSED, at=now, note=note)",
        TURNED_AWAY + "a_modification_that_was_turned_away_counts_until_the_book_bears_it_out",
    ),
    Mutation(
        "repeat a cancel by the age of its wish",
        "orders/reconciliation.py",
        "until_the_next_try(order.cancel_tries)",
        "(now - order.created_at) / 8",
        STOPPING + "a_cancel_that_could_only_be_sent_late_is_repeated_as_soon_as_any_other",
    ),
    Mutation(
        "try an exit again by the age of its flatten",
        "orders/flattening.py",
        "until_the_next_try(each.tries)",
        "(now - self._wish.asked_at) / 8",
        ODDS + "an_exit_that_had_to_wait_for_an_hour_is_tried_again_as_soon_as_any_other",
    ),
    # --- People -------------------------------------------------------------------------------------------------------
    Mutation(
        "let a password alone pass where a second factor is enrolled",
        "config/middleware.py",
        "enrolled = device_of(user) is not None",
        "enrolled = False",
        SECOND_FACTOR + "who_has_enrolled_reaches_nothing_by_password_alone",
    ),
    Mutation(
        "let the code of enrolment open a second session",
        "orders/second_factor.py",
        "device.drift, device.last_t = totp.drift, totp.t()",
        "device.drift = totp.drift",
        SECOND_FACTOR + "the_code_of_enrolment_opens_no_second_session",
    ),
    Mutation(
        "let a person reset his own second factor",
        "orders/admin/people.py",
        "        if user == request.user:\n            return",
        "        if False:\n            return",
        SECOND_FACTOR + "nobody_resets_his_own_nor_that_of_who_may_do_more",
    ),
    Mutation(
        "take an inactive account for one without rights",
        "orders/roles.py",
        "not rights_of(user) <= _rights_at_hand(than)",
        "not user.get_all_permissions() <= _rights_at_hand(than)",
        ROLES + "the_account_of_an_inactive_trader_is_not_taken_over",
    ),
    Mutation(
        "offer roles beyond one's own",
        "orders/roles.py",
        "    if editor.is_superuser:\n        return [group",
        "    if True:\n        return [group",
        ROLES + "nobody_gives_a_role_that_may_do_more_than_himself",
    ),
    Mutation(
        "let who may halt resume",
        "orders/admin/trading_control.py",
        'permissions=["risk.resume_trading"]',
        'permissions=["risk.halt_trading"]',
        "tests/orders/admin/test_every_role.py::test_a_role_reaches_what_the_table_says_and_nothing_else",
    ),
    Mutation(
        "believe the address that a sender made up",
        "config/client_address.py",
        "written[-proxies]",
        "written[0]",
        "tests/config/test_web_safety.py::test_an_address_is_believed_as_far_as_our_proxies_wrote_it",
    ),
    Mutation(
        "write a line of the log as it is",
        "config/logging.py",
        "    return strike_out(line)",
        "    return line",
        "tests/config/test_redaction.py::test_a_line_for_people_is_without_secrets_too",
    ),
    # --- What pages say of it -----------------------------------------------------------------------------------------
    Mutation(
        "call an executor alive that was not seen for an hour",
        "orders/models/broker.py",
        "        return (now - self.beat_at).total_seconds() <= NO_EXECUTOR_AFTER_SECONDS",
        "        return True",
        "tests/orders/test_start_of_day.py::test_the_executor_was_seen_alive",
    ),
    Mutation(
        "show an old result of the day as fresh",
        "orders/admin/dashboard.py",
        "    if (day.now - point.as_of).total_seconds() > POINT_OLD_AFTER_SECONDS:",
        "    if False:",
        "tests/orders/admin/test_dashboard.py::test_a_result_that_nobody_renewed_says_how_old_it_is",
    ),
    Mutation(
        "draw the account for who may not view positions",
        "orders/admin/dashboard.py",
        '    if not day.may("orders.view_position"):',
        "    if False:",
        "tests/orders/admin/test_dashboard.py::test_what_a_person_may_not_view_is_left_out",
    ),
    Mutation(
        "measure the book without what works",
        "orders/portfolio.py",
        "        return bool(self.own or self.buys or self.sells or self.external",
        "        return bool(self.own or self.external",
        "tests/orders/test_usage.py::test_what_works_counts_as_filled",
    ),
    # --- The daily login and the end of the day -----------------------------------------------------------------------
    Mutation(
        "let one return from Kite be used again",
        "orders/daily_login.py",
        "theirs.filter(returned_at=None, begun_at__gt=now - ATTEMPT_LIVES)",
        "theirs.filter(begun_at__gt=now - ATTEMPT_LIVES)",
        DAILY_LOGIN + "a_state_is_good_for_one_return",
    ),
    Mutation(
        "let anybody bring a login in",
        "orders/daily_login.py",
        "theirs = named.filter(account=who.account, session_digest=_digest(who.session_key))",
        "theirs = named",
        DAILY_LOGIN + "a_state_is_good_for_who_began_alone",
    ),
    Mutation(
        "keep a login of another account",
        "orders/daily_login.py",
        "if armed_for and armed_for != user_id:",
        "if False:",
        DAILY_LOGIN + "a_login_of_another_account_than_the_armed_one_is_not_kept",
    ),
    Mutation(
        "arm whatever was typed",
        "orders/daily_login.py",
        "if typed != logged_in:",
        "if False:",
        DAILY_LOGIN + "live_is_not_armed_for_an_account_that_is_not_logged_in",
    ),
    Mutation(
        "take the report before the close",
        "orders/end_of_day.py",
        "    if desk.clock() < due:\n",
        "    if False:\n",
        END_OF_DAY + "it_is_not_taken_before_the_day_is_over",
    ),
    Mutation(
        "call what one reading finds a difference",
        "orders/end_of_day.py",
        "    if not breaks:\n        return book, breaks\n",
        "    return book, breaks\n",
        END_OF_DAY + "a_difference_that_the_next_reading_does_not_show_is_none",
    ),
    Mutation(
        "alerts: urgent ones held up by a storm",
        "orders/alerting/grouping.py",
        "count > STORM_ALERTS and not urgent",
        "count > STORM_ALERTS",
        ALERTING + "grouping.py::test_a_message_may_leave",
    ),
    Mutation(
        "alerts: the mark does not wait for who still writes",
        "orders/alerting/watching.py",
        'if oldest_running >= mark["transaction"] or',
        "if True or",
        ALERTING + "two_senders.py::test_a_lower_id_that_commits_later_is_told_however_late",
    ),
    Mutation(
        "alerts: a delivery claimed by two",
        "orders/alerting/outbox.py",
        "filter(pk=delivery.pk, state=State.WAITING, attempts=delivery.attempts)",
        "filter(pk=delivery.pk)",
        ALERTING + "two_senders.py::test_a_delivery_is_claimed_once",
    ),
    Mutation(
        "alerts: what another was sending is forgotten",
        "orders/alerting/sender.py",
        "outbox.take_over(self._desk.mode, sender=self.name, now=now)",
        "0",
        ALERTING + "two_senders.py::test_one_that_died_between_sending_and_noting_is_told_again_and_the_row_says_so",
    ),
    Mutation(
        "alerts: a ping for an executor that is silent",
        "orders/alerting/sender.py",
        "well=self._pulse.is_fresh() or not self._pulse.is_expected()",
        "well=True",
        ALERTING + "pulse_and_ping.py::test_a_ping_leaves_at_the_limit_of_the_heartbeat_s_age_and_not_past_it",
    ),
    Mutation(
        "alerts: history told after a year",
        "orders/alerting/sender.py",
        "if last_led is None or now - last_led > outbox.TOO_LATE:",
        "if last_led is None:",
        ALERTING + "two_senders.py::test_after_a_day_without_a_sender_what_happened_is_history",
    ),
    Mutation(
        "alerts: given up without a word",
        "orders/alerting/outbox.py",
        "            _tell_of_undelivered(delivery, said, now)",
        "            pass",
        ALERTING
        + "delivery.py::test_after_the_last_attempt_it_is_given_up_with_an_incident_that_the_other_channels_tell",
    ),
    Mutation(
        "alerts: an outage told by who stands by",
        "orders/alerting/outage.py",
        "if self._words is None and mine and",
        "if self._words is None and",
        ALERTING + "outage.py::test_who_stands_by_leaves_it_to_the_leader",
    ),
    # --- The audit trail ----------------------------------------------------------------------------------------------
    Mutation(
        "seal by ids and not by transactions",
        "risk/audit/sealing.py",
        'unsealed, values = "transaction_id >= %s AND transaction_id < %s", [since, up_to]',
        'unsealed, values = "id > %s AND transaction_id < %s", [highest, up_to]',
        SEALS + "an_older_transaction_that_took_a_higher_id_does_not_hide_a_younger_one_that_took_a_lower",
    ),
    Mutation(
        "seal what is not settled",
        "risk/audit/sealing.py",
        "pg_snapshot_xmin(now)::text::bigint, pg_snapshot_xmax",
        "pg_snapshot_xmax(now)::text::bigint, pg_snapshot_xmax",
        SEALS + "an_entry_committed_after_one_with_a_higher_id_is_sealed_later_and_not_forgotten",
    ),
    Mutation(
        "seal all but the actor",
        "risk/audit/sealing.py",
        "operation, changes, actor,",
        "operation, changes,",
        SEALS + "a_forged_entry_is_named_whatever_was_changed_in_it",
    ),
    Mutation(
        "keep secrets in the trail",
        "risk/audit/triggers.py",
        "masked = sorted(columns.intersection(SECRETS) | set(cover.masked))",
        "masked = sorted(cover.masked)",
        TRAIL + "secrets_show_that_they_changed_and_not_to_what",
    ),
    Mutation(
        "let the actor stay after the request",
        "risk/audit/who.py",
        "        _actor.reset(who)\n",
        "",
        TRAIL + "what_is_written_in_between_is_somebodys_and_no_longer_afterwards",
    ),
    Mutation(
        "let a reason end the comment",
        "risk/audit/who.py",
        "said.translate(_ESCAPES)",
        "said",
        TRAIL + "text_that_no_statement_should_hold_is_kept_as_it_is",
    ),
    Mutation(
        "take a disabled trigger for one that works",
        "risk/audit/triggers.py",
        'found.some_columns or found.enabled not in ("O", "A"):',
        "found.some_columns:",
        TRAIL + "a_protection_taken_away_is_found_and_set_again",
    ),
    # --- The blotter --------------------------------------------------------------------------------------------------
    Mutation(
        "hide what is unfinished of a past day",
        "orders/admin/order_views.py",
        "TODAY: of_today | Q(status__in=sorted(UNFINISHED)),",
        "TODAY: of_today,",
        "tests/orders/admin/test_order_list.py::test_each_tab_keeps_its_orders",
    ),
    Mutation(
        "let a spreadsheet compute what a broker said",
        "orders/admin/export_text.py",
        """__regex": _FORMULA}, then=Concat(Value("'"), F(path))),""",
        """__regex": _FORMULA}, then=F(path)),""",
        "tests/orders/admin/test_export.py::test_a_formula_and_odd_characters_of_a_reason_stay_text",
    ),
    Mutation(
        "let a note pass for the machine's word",
        "orders/notes.py",
        'NOTE = "note: "',
        'NOTE = ""',
        "tests/orders/admin/test_order_story.py::test_a_note_is_never_taken_for_what_the_machine_writes",
    ),
    Mutation(
        "stop at the first cancel that is refused",
        "orders/admin/cancelling.py",
        "        except REFUSALS as refusal:\n            results",
        "        except REFUSALS as refusal:\n            raise\n            results",
        "tests/orders/admin/test_blotter.py"
        "::test_the_trouble_of_one_order_does_not_keep_the_others_from_being_cancelled",
    ),
    # --- Signals to close, replays, blocks ----------------------------------------------------------------------------
    Mutation(
        "missed exit: kept though nothing is held",
        "orders/models/missed_exit.py",
        "        if signal.signal_type != _SELL or _own(**same) <= 0:",
        "        if signal.signal_type != _SELL:",
        MISSED + "a_signal_that_would_not_have_closed_anything_does_not_wait",
    ),
    Mutation(
        "missed exit: forgotten when its order ends short",
        "orders/models/order.py",
        "            self._tell_of_a_close_that_did_not_happen(to, note, at)",
        "            pass",
        MISSED + "a_sell_whose_resting_order_is_cancelled_by_a_halt_waits",
    ),
    Mutation(
        "missed exit: told of a withdrawal that is no end",
        "orders/models/order.py",
        "        again = status == OrderStatus.WITHDRAWN and self.cancel_requested_at is None",
        "        again = False",
        MISSED + "a_sell_whose_order_was_withdrawn_is_missed_only_by_what_is_decided_then",
    ),
    Mutation(
        "missed exit: a flat position keeps it waiting",
        "orders/ledger.py",
        "        if kept[line].day.quantity <= 0:",
        "        if kept[line].day.quantity < 0:",
        MISSED + "an_exit_that_works_hides_it_and_its_fill_ends_it",
    ),
    Mutation(
        "missed exit: asks for the sale of what was bought anew",
        "orders/ledger.py",
        "        _end_what_waits_when_flat(line, now)  # written",
        "        pass  # written",
        MISSED + "one_that_was_written_down_after_the_last_share_was_sold_is_not_asked_about_when_they_are_bought_anew",
    ),
    Mutation(
        "missed exit: kept without the lock",
        "orders/missed_exits.py",
        "        TradingControl.objects.locked(desk.mode)",
        "        pass",
        MISSED + "whoever_writes_one_down_waits_for_who_is_selling_the_last_share",
    ),
    Mutation(
        "missed exit: hidden by a sale of an earlier day",
        "orders/missed_exits.py",
        '"trading_date__gte": today',
        '"trading_date__isnull": False',
        MISSED + "an_order_of_an_earlier_day_closes_nothing_whatever_became_of_it",
    ),
    Mutation(
        "exit: kept from going by what staff change",
        "orders/withdrawing.py",
        "    if order.is_exit:\n        return None",
        "    if False:\n        return None",
        EXECUTION + "nothing_that_staff_change_in_the_same_moment_keeps_an_exit_from_going",
    ),
    Mutation(
        "missed exit: hidden by an order for a part",
        "orders/missed_exits.py",
        """WAITING)
    return waiting.filter(ours__gt=0, being_sold__lt=F("ours"))""",
        """WAITING)
    return waiting.filter(ours__gt=0, being_sold=0)""",
        MISSED + "an_order_that_closes_only_a_part_leaves_it_waiting",
    ),
    Mutation(
        "missed exit: dismissed by the second as well",
        "orders/models/missed_exit.py",
        "        return bool(dismissed)",
        "        return True",
        MISSED + "a_second_person_is_told_who_was_first",
    ),
    Mutation(
        "missed exit: dismissed while it is being closed",
        "orders/missed_exits.py",
        "now_open.being_sold >= now_open.ours:",
        "now_open.being_sold > now_open.ours:",
        MISSED + "it_is_not_dismissed_while_it_is_being_closed",
    ),
    Mutation(
        "replay: by two who did not see the other's",
        "orders/replaying.py",
        "        if signal.replays.count() != shown:",
        "        if False:",
        REPLAYING + "of_two_who_replay_at_once_one_is_refused",
    ),
    Mutation(
        "replay: repeated though it was filled",
        "orders/replaying.py",
        "        if refusal := cannot_be_replayed(signal, desk.mode, desk.today()):",
        '        if refusal := "":',
        REPLAYING + "one_whose_order_was_filled_is_not_repeated_and_one_whose_order_was_rejected_is",
    ),
    Mutation(
        "replay: repeated though its replay was acted on",
        "orders/replaying.py",
        "    if _acted_on(others):",
        "    if False:",
        REPLAYING + "what_was_bought_for_its_replay_is_not_bought_again",
    ),
    Mutation(
        "block: taken for what only needs saving",
        "risk/approvals.py",
        "        if held.blocked == blocked:",
        "        if False:",
        BLOCKING + "what_is_not_blocked_is_not_unblocked_by_an_old_page",
    ),
    Mutation(
        "nowhere: without the lock",
        "orders/screening.py",
        "        control = TradingControl.objects.locked(desk.mode)",
        "        control = TradingControl.objects.get(mode=desk.mode)",
        SCREENING + "a_run_waits_for_the_lock_and_goes_by_what_is_true_after_it",
    ),
    Mutation(
        "nowhere: before what came earlier for its symbol",
        "orders/screening.py",
        "            if key not in held_up and (one := facts.conclude(signal)):",
        "            if one := facts.conclude(signal):",
        SCREENING + "nothing_is_decided_before_what_came_earlier_for_its_symbol",
    ),
    Mutation(
        "nowhere: a sale of what is held, told to nobody",
        "orders/screening.py",
        "    return in_the_book and missed_exits.wants_to_close(signal, assessment)",
        "    return False",
        SCREENING + "a_sale_of_what_is_held_that_is_refused_waits_for_a_person_as_ever",
    ),
    Mutation(
        "nowhere: by the book of another instrument",
        "orders/screening.py",
        "key if key in self._shared.peculiar or limits.include_external else hours",
        "hours",
        SCREENING + "a_run_leaves_the_rows_that_one_decision_after_another_leaves",
    ),
    Mutation(
        "nowhere: by what was decided before the run only",
        "orders/screening.py",
        "            shared.newest[kind] = max(shared.newest[kind] or signal.signal_at, signal.signal_at)",
        "            pass",
        SCREENING + "a_run_leaves_the_rows_that_one_decision_after_another_leaves",
    ),
    Mutation(
        "nowhere: what had an order already",
        "orders/screening.py",
        "signal.pk in shared.tried or",
        "",
        SCREENING + "a_signal_that_had_an_order_is_left",
    ),
    Mutation(
        "nowhere: a buy that only waits for room",
        "orders/screening.py",
        "        return True  # it waits for room",
        "        pass",
        SCREENING + "a_buy_without_room_waits_and_is_no_refusal",
    ),
    Mutation(
        "restored: acts on what was forgotten",
        "orders/deciding.py",
        "    if restored.is_of_before(control, signal):",
        "    if False:",
        RESTORED + "a_signal_of_before_the_restore_is_never_acted_on_however_fast_the_desk_trades_again",
    ),
    Mutation(
        "restored: a form sent again",
        "orders/deciding.py",
        "            if restored.is_at_the_broker(control, our_id):",
        "            if False:",
        RESTORED + "a_page_that_was_open_before_the_restore_sends_its_order_no_second_time",
    ),
    Mutation(
        "restored: usable before it is safe",
        "config/restore.py",
        "            _set_read_only(database, target)\n",
        "",
        RESTORED + "a_restore_that_is_cut_short_leaves_a_database_that_nobody_can_write_to",
    ),
    Mutation(
        "backup: half a dump counts",
        "config/backup.py",
        '    tools.run("pg_restore", ["--file=/dev/null", str(draft)], env)',
        "    pass",
        BACKUP + "a_dump_that_was_written_by_half_does_not_come_to_count",
        "shadow: the half at Zerodha sends whatever it is asked to",
        "orders/broker/deadline.py",
        'if request.method != "GET" and',
        "if False and",
        SHADOW + "even_the_sdk_of_that_half_lets_nothing_out_but_reading",
    ),
    Mutation(
        "shadow: an order without the real market",
        "orders/broker/shadow.py",
        "depth = self._young(key)\n            self._prices.tell(*key, depth)",
        "depth = self._young(key)",
        SHADOW + "a_day_in_the_shadow_from_signals_to_its_report",
    ),
    Mutation(
        "shadow: what rests is not shown the market",
        "orders/broker/shadow.py",
        "return self._orders.book(as_of) if resting and self._followed(resting) else book",
        "return book",
        SHADOW + "what_rests_is_filled_when_the_real_market_comes_to_it",
    ),
    Mutation(
        "line: another proof at the same time",
        "orders/line_proof.py",
        "if last is not None and last.pk != asked.shown:",
        "if False:",
        LINE + "two_people_who_saw_the_same_page_place_one_order",
    ),
    Mutation(
        "line: in doubt, and its cancel not wished for",
        "orders/line_proof.py",
        "cancel(desk, order, by=proof.begun_by, reason=WHY_CANCELLED)  # when it is known, it goes",
        "pass",
        LINE + "one_that_may_be_there_is_never_sent_again_and_goes_when_it_is_found",
    ),
    Mutation(
        "line: near the market",
        "orders/line_proof.py",
        "if price * 100 > last * (100 - FAR_PERCENT):",
        "if price * 100 > last * 100:",
        LINE + "the_limit_is_three_per_cent_below_the_market_or_nothing_is_sent",
    ),
    Mutation(
        "line: a dead proof's order rests on",
        "orders/line_proof.py",
        '            cancel(desk, order, by="executor", reason="the proof that it belongs to was broken off")',
        "            pass",
        LINE + "one_whose_process_died_is_broken_off_after_two_minutes_and_its_order_cancelled",
    ),
    Mutation(
        "steps: passed though not green",
        "orders/going_live.py",
        "if said == Said.PASSED and lacking:",
        "if False:",
        GOING_LIVE + "no_step_is_skipped_silently",
    ),
    Mutation(
        "steps: armed without a word",
        "orders/going_live.py",
        "if missing and not reason.strip():",
        "if False:",
        GOING_LIVE + "arming_before_the_steps_asks_why_and_keeps_it",
    ),
    Mutation(
        "small limits: lifted beyond what was held",
        "orders/small_limits.py",
        "[name for name, value in held.items() if getattr(current, name) == value]",
        "list(held)",
        SMALL_LIMITS + "what_was_tightened_further_meanwhile_is_not_lifted",
    ),
]
