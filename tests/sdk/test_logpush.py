"""Cloudflare's official Python SDK, unmodified, speaks to the Worker as to Cloudflare: only its base URL differs.

Reads from the environment:

    LOGPUSH_EDGE_URL              address of the Worker
    LOGPUSH_EDGE_TOKEN            may change jobs
    LOGPUSH_EDGE_READ_TOKEN       may read them
    LOGPUSH_EDGE_DESTINATION      a destination_conf that takes a test message
    LOGPUSH_EDGE_BAD_DESTINATION  one that refuses it

With LOGPUSH_EDGE_RESULTS=FILE each outcome is also written there, one JSON object a line, for tests/worker/sdk-python.test.ts.
"""

import itertools
import json
import os
import sys
import unittest

from cloudflare import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    Cloudflare,
    NotFoundError,
    PermissionDeniedError,
)

URL = os.environ["LOGPUSH_EDGE_URL"]
TOKEN = os.environ["LOGPUSH_EDGE_TOKEN"]
READ_TOKEN = os.environ["LOGPUSH_EDGE_READ_TOKEN"]
DESTINATION = os.environ["LOGPUSH_EDGE_DESTINATION"]
BAD_DESTINATION = os.environ["LOGPUSH_EDGE_BAD_DESTINATION"]

FILTER = json.dumps({"where": {"key": "QueryType", "operator": "eq", "value": 1}})
# A number that no job has.
NOBODY = 999_999_999
FIELD = r"^(string|int|float|bool|object|int or string|array\[(string|int|object)\]); \S"

_numbers = itertools.count(1)

# The SDK falls back to these, and a developer's own must not count.
for name in ("API_TOKEN", "API_KEY", "EMAIL", "API_USER_SERVICE_KEY", "CUSTOM_HEADERS"):
    os.environ.pop(f"CLOUDFLARE_{name}", None)


def by_token(secret):
    return Cloudflare(base_url=f"{URL}/client/v4", api_token=secret, max_retries=0)


def by_key(secret):
    return Cloudflare(base_url=f"{URL}/client/v4", api_email="operator@example.com", api_key=secret, max_retries=0)


AUTH = {"a token": by_token, "e-mail address and key": by_key}
KINDS = ("zone_id", "account_id")


def fresh(kind="zone_id"):
    """A zone or account that no other test has."""
    return {kind: f"py{next(_numbers)}"}


class LogpushCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.client = by_token(TOKEN)
        self.jobs = self.client.logpush.jobs

    def create(self, scope, **job):
        created = self.jobs.create(**scope, **{"destination_conf": DESTINATION, **job})
        self.assertIsNotNone(created)
        return created

    def assert_fails(self, error_class, status, code, call, *args, text=".", **kwargs):
        """The call fails with this class, and the SDK reads Cloudflare's envelope out of the answer."""
        with self.assertRaises(error_class) as caught:
            call(*args, **kwargs)
        error = caught.exception
        self.assertEqual((error.status_code, [one.code for one in error.errors]), (status, [code]))
        self.assertRegex(error.errors[0].message, text)
        self.assertEqual((error.body["success"], error.body["messages"], error.body["result"]), (False, [], None))


class Jobs(LogpushCase):
    def test_a_job_is_created_read_listed_changed_and_deleted(self):
        for kind, (auth, client) in itertools.product(KINDS, AUTH.items()):
            with self.subTest(kind=kind, auth=auth):
                jobs = client(TOKEN).logpush.jobs
                scope, elsewhere = fresh(kind), fresh(kind)
                created = jobs.create(**scope, dataset="dns_logs", destination_conf=DESTINATION, name="one", enabled=True, filter=FILTER)
                self.assertGreater(created.id, 0)
                self.assertEqual(
                    (created.dataset, created.destination_conf, created.name, created.enabled, created.kind, created.frequency, created.filter),
                    ("dns_logs", DESTINATION, "one", True, "", "high", FILTER),
                )
                self.assertEqual((created.last_complete, created.last_error, created.error_message), (None, None, None))
                self.assertEqual(jobs.get(created.id, **scope), created)
                self.assertEqual(list(jobs.list(**scope)), [created])

                changed = jobs.update(created.id, **scope, enabled=False)
                self.assertEqual(changed, created.copy(update={"enabled": False}))
                second = jobs.create(**scope, destination_conf=DESTINATION)
                self.assertEqual((second.dataset, second.enabled), ("http_requests", False))
                self.assertEqual(list(jobs.list(**scope)), [changed, second])
                self.assertEqual(list(jobs.list(**elsewhere)), [])
                self.assert_fails(NotFoundError, 404, 1006, jobs.get, created.id, **elsewhere)

                self.assertEqual(jobs.delete(created.id, **scope).id, created.id)
                for call in (jobs.get, jobs.delete, jobs.update):
                    self.assert_fails(NotFoundError, 404, 1006, call, created.id, **scope)
                self.assertEqual(list(jobs.list(**scope)), [second])

    def test_jobs_are_listed_by_dataset(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                scope = fresh(kind)
                made = [self.create(scope, dataset=dataset) for dataset in ("dns_logs", "http_requests", "dns_logs")]
                by_dataset = self.client.logpush.datasets.jobs
                self.assertEqual(list(by_dataset.get("dns_logs", **scope)), [made[0], made[2]])
                self.assertEqual(list(by_dataset.get("http_requests", **scope)), [made[1]])
                self.assertEqual(list(by_dataset.get("firewall_events", **scope)), [])
                self.assertEqual(list(by_dataset.get("dns_logs", **fresh(kind))), [])

    def test_an_update_keeps_what_it_does_not_mention_and_clears_with_null_0_and_an_empty_string(self):
        scope = fresh()
        full = {
            "name": "limits",
            "filter": FILTER,
            "logpull_options": "fields=QueryName,QueryType&timestamps=rfc3339",
            "max_upload_bytes": 5_000_000,
            "max_upload_records": 1_000,
            "max_upload_interval_seconds": 30,
        }
        job = self.create(scope, dataset="dns_logs", **full)
        for change in (
            {"max_upload_bytes": 0, "name": ""},
            {"max_upload_records": None, "filter": None},
            {"max_upload_interval_seconds": 0, "filter": "", "logpull_options": None},
            {"max_upload_bytes": None, "name": None, "logpull_options": ""},
        ):
            with self.subTest(change=change):
                changed = self.jobs.update(job.id, **scope, **change)
                for name, value in full.items():
                    if name in change:
                        self.assertFalse(getattr(changed, name), name)
                    else:
                        self.assertEqual(getattr(changed, name), value, name)
                self.assertEqual(self.jobs.update(job.id, **scope, **full), job)

    def test_output_options_come_back_as_they_were_sent_and_go_with_null(self):
        scope = fresh()
        options = {
            "field_names": ["QueryName", "QueryType", "Timestamp"],
            "output_type": "csv",
            "batch_prefix": "QueryName,QueryType,Timestamp\n",
            "field_delimiter": ";",
            "timestamp_format": "rfc3339ns",
            "sample_rate": 0.5,
            "CVE-2021-44228": True,
        }
        job = self.create(scope, dataset="dns_logs", output_options=options)
        # By the names of the API: the SDK calls CVE-2021-44228 otherwise.
        returned = job.output_options.to_dict(mode="json", use_api_names=True)
        self.assertEqual({**returned, **options}, returned)
        self.assertEqual(self.jobs.update(job.id, **scope, name="csv").output_options, job.output_options)
        self.assertIsNone(self.jobs.update(job.id, **scope, output_options=None).output_options)


class Datasets(LogpushCase):
    def test_fields_are_names_with_their_type_and_meaning(self):
        get = self.client.logpush.datasets.fields.get
        dns = get("dns_logs", **fresh())
        # The list that the walk-through of SEKOIA.IO shows.
        expected = "ColoCode,EDNSSubnet,EDNSSubnetLength,QueryName,QueryType,ResponseCached,ResponseCode,SourceIP,Timestamp"
        self.assertEqual(sorted(dns), expected.split(","))
        packets = get("network_analytics_logs", **fresh("account_id"))
        self.assertIn("MitigationSystem", packets)
        for name, text in [*dns.items(), *packets.items()]:
            self.assertRegex(text, FIELD, name)


class Destinations(LogpushCase):
    def test_a_destination_is_tried_out(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                validate = self.client.logpush.validate.destination
                self.assertIs(validate(**fresh(kind), destination_conf=DESTINATION).valid, True)
                bad = validate(**fresh(kind), destination_conf=BAD_DESTINATION)
                self.assertIs(bad.valid, False)
                self.assertTrue(bad.message)

    def test_a_destination_exists_once_a_job_has_it(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                scope = fresh(kind)
                exists = self.client.logpush.validate.destination_exists
                self.assertIs(exists(**scope, destination_conf=DESTINATION).exists, False)
                self.create(scope)
                self.assertIs(exists(**scope, destination_conf=DESTINATION).exists, True)

    def test_a_job_whose_destination_refuses_the_test_message_is_refused(self):
        scope = fresh()
        text = "error validating destination"
        self.assert_fails(BadRequestError, 400, 1002, self.jobs.create, **scope, destination_conf=BAD_DESTINATION, text=text)
        job = self.create(scope)
        self.assert_fails(BadRequestError, 400, 1002, self.jobs.update, job.id, **scope, destination_conf=BAD_DESTINATION, text=text)
        self.assertEqual(list(self.jobs.list(**scope)), [job])

    def test_ownership_answers_in_the_form_of_the_sdk(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                scope = fresh(kind)
                challenge = self.client.logpush.ownership.create(**scope, destination_conf=DESTINATION)
                self.assertIsInstance(challenge.filename, str)
                self.assertIsInstance(challenge.message, str)
                self.assertIsInstance(challenge.valid, bool)
                answer = self.client.logpush.ownership.validate(
                    **scope, destination_conf=DESTINATION, ownership_challenge="00000000000000000000"
                )
                self.assertIs(answer.valid, False)

    def test_an_origin_is_valid_when_its_logpull_options_can_be_read(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                origin = self.client.logpush.validate.origin
                good = origin(**fresh(kind), logpull_options="fields=RayID,ClientIP,EdgeStartTimestamp&timestamps=rfc3339")
                self.assertIs(good.valid, True)
                bad = origin(**fresh(kind), logpull_options="timestamps=yesterday")
                self.assertIs(bad.valid, False)
                self.assertTrue(bad.message)


class Errors(LogpushCase):
    def test_what_is_not_there_is_a_not_found_error(self):
        scope = fresh()
        for call in (self.jobs.get, self.jobs.update, self.jobs.delete):
            self.assert_fails(NotFoundError, 404, 1006, call, NOBODY, **scope)
        path = f"/zones/{scope['zone_id']}/logpush/nothing"
        self.assert_fails(NotFoundError, 404, 7003, self.client.get, path, cast_to=object, text="No route for the URI")

    def test_what_is_wrong_is_a_bad_request_error_that_names_the_member(self):
        scope = fresh()
        for wrong, text in (
            ({"destination_conf": "logs.example.com"}, "^destination_conf: "),
            ({"max_upload_records": 7}, "^max_upload_records: "),
            ({"filter": "{"}, "^filter: "),
            ({"logpull_options": "timestamps=yesterday"}, "^logpull_options"),
        ):
            with self.subTest(wrong=wrong):
                job = {"destination_conf": DESTINATION, **wrong}
                self.assert_fails(BadRequestError, 400, 1002, self.jobs.create, **scope, **job, text=text)
        self.assertEqual(list(self.jobs.list(**scope)), [])

    def test_a_wrong_secret_is_an_authentication_error(self):
        for auth, client in AUTH.items():
            with self.subTest(auth=auth):
                logpush = client("wrong").logpush
                scope = fresh()
                self.assert_fails(AuthenticationError, 401, 10000, logpush.jobs.list, **scope)
                self.assert_fails(AuthenticationError, 401, 10000, logpush.jobs.create, **scope, destination_conf=DESTINATION)
                self.assert_fails(AuthenticationError, 401, 10000, logpush.datasets.fields.get, "dns_logs", **scope)

    def test_a_change_with_a_secret_that_may_only_read_is_a_permission_denied_error(self):
        for auth, client in AUTH.items():
            with self.subTest(auth=auth):
                scope = fresh()
                job = self.create(scope)
                jobs = client(READ_TOKEN).logpush.jobs
                self.assert_fails(PermissionDeniedError, 403, 1004, jobs.create, **scope, destination_conf=DESTINATION)
                self.assert_fails(PermissionDeniedError, 403, 1004, jobs.update, job.id, **scope, enabled=True)
                self.assert_fails(PermissionDeniedError, 403, 1004, jobs.delete, job.id, **scope)
                self.assertIn("REDACTED", jobs.get(job.id, **scope).destination_conf)

    def test_a_session_of_instant_logs_is_opened_and_listed(self):
        scope = fresh()
        edge = by_token(READ_TOKEN).logpush.edge
        session = edge.create(**scope, fields="ClientIP,RayID", filter="", sample=10)
        self.assertEqual((session.fields, session.filter, session.sample), ("ClientIP,RayID", "", 10))
        self.assertRegex(session.destination_conf, f"^ws://.*/instant-logs/ws/sessions/{session.session_id}$")
        self.assertEqual(list(edge.get(**scope)), [session])
        self.assert_fails(BadRequestError, 400, 1002, edge.create, **scope, fields="RayId", text="^fields: .*RayID")

    def test_transformers_are_said_not_to_be_offered(self):
        with self.assertRaises(APIStatusError) as caught:
            self.client.post("/accounts/a/logpush/transformers", cast_to=object, body={"name": "t", "code": "SELECT 1"})
        self.assertIn(caught.exception.status_code, range(400, 500))
        self.assertIn("not offered", caught.exception.errors[0].message)


class Outcomes(unittest.TextTestResult):
    """Notes what became of each test, so that another program can read it."""

    def startTest(self, test):
        super().startTest(test)
        self.faults = []

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.faults.append(self._exc_info_to_string(err, test))

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.faults.append(f"{subtest._subDescription()}\n{self._exc_info_to_string(err, test)}")

    def stopTest(self, test):
        super().stopTest(test)
        if path := os.environ.get("LOGPUSH_EDGE_RESULTS"):
            name = test.id().rpartition(".")[2].removeprefix("test_").replace("_", " ")
            with open(path, "a", encoding="utf-8") as results:
                results.write(json.dumps({"name": name, "fault": "\n".join(self.faults)}) + "\n")


if __name__ == "__main__":
    runner = unittest.TextTestRunner(resultclass=Outcomes, verbosity=2)
    program = unittest.main(testRunner=runner, exit=False)
    sys.exit(0 if program.result.wasSuccessful() else 1)
