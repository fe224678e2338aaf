package stepfn

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
)

const succeededEvent = `{
  "version": "0", "id": "315c1398-40ff-a850-213b-158f73e60175",
  "detail-type": "Step Functions Execution Status Change", "source": "aws.states",
  "account": "123456789012", "time": "2026-02-01T19:42:21Z", "region": "us-east-1",
  "resources": ["arn:aws:states:us-east-1:123456789012:execution:deploy:x"],
  "detail": {
    "executionArn": "arn:aws:states:us-east-1:123456789012:execution:deploy:x",
    "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:deploy",
    "name": "x", "status": "SUCCEEDED", "startDate": 1547148840101, "stopDate": 1547148840122,
    "input": "{}", "output": "{\"ok\":true}",
    "inputDetails": {"included": true}, "outputDetails": {"included": true},
    "error": null, "cause": null
  }
}`

func TestDecodeStatusChange(t *testing.T) {
	rows := []struct {
		name, data string
		want       event.Outcome
	}{
		{"succeeded", succeededEvent, event.Outcome{
			ExecutionARN: executionARN, Name: "x", Status: event.Succeeded,
			StartedAt: time.UnixMilli(1547148840101).UTC(), StoppedAt: time.UnixMilli(1547148840122).UTC(),
			Input: "{}", Output: `{"ok":true}`,
		}},
		{
			"running, data left out",
			`{"detail-type":"Step Functions Execution Status Change","source":"aws.states","detail":{"executionArn":"` + executionARN + `","name":"x","status":"RUNNING","startDate":1000,"stopDate":null,"input":null,"output":null}}`,
			event.Outcome{ExecutionARN: executionARN, Name: "x", Status: event.Running, StartedAt: time.Unix(1, 0).UTC()},
		},
		{
			"failed with a cause",
			`{"detail-type":"Step Functions Execution Status Change","source":"aws.states","detail":{"executionArn":"` + executionARN + `","name":"x","status":"FAILED","startDate":1000,"stopDate":2000,"error":"States.TaskFailed","cause":"exit status 1"}}`,
			event.Outcome{ExecutionARN: executionARN, Name: "x", Status: event.Failed, StartedAt: time.Unix(1, 0).UTC(), StoppedAt: time.Unix(2, 0).UTC(), Error: "States.TaskFailed", Cause: "exit status 1"},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got, err := DecodeStatusChange([]byte(row.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeStatusChangeRefuses(t *testing.T) {
	rows := []struct{ name, data, want string }{
		{"not JSON", "x", "invalid character"},
		{"truncated", succeededEvent[:200], "unexpected end"},
		{"other detail type", strings.Replace(succeededEvent, "Step Functions Execution Status Change", "EC2 Instance State-change Notification", 1), "EC2 Instance"},
		{"other source", strings.Replace(succeededEvent, "aws.states", "custom.states", 1), "custom.states"},
		{"no execution", strings.Replace(succeededEvent, "executionArn", "executionArm", 1), "executionArn is missing"},
		{"unknown status", strings.Replace(succeededEvent, "SUCCEEDED", "DONE", 1), `"DONE"`},
		{"date as text", strings.Replace(succeededEvent, "1547148840101", `"2026-02-01"`, 1), "startDate"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got, err := DecodeStatusChange([]byte(row.data)); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("DecodeStatusChange = %+v, %v; want an error with %q", got, err, row.want)
			}
		})
	}
}

func FuzzDecodeStatusChange(f *testing.F) {
	f.Add([]byte(succeededEvent))
	f.Add([]byte(`{"detail-type":"Step Functions Execution Status Change","source":"aws.states","detail":{}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := DecodeStatusChange(data)
		if err != nil {
			return
		}
		if got.ExecutionARN == "" {
			t.Error("accepted an event of no execution")
		}
		if _, err := executionStatus(string(got.Status)); err != nil {
			t.Error(err)
		}
	})
}
