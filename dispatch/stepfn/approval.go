package stepfn

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"switchyard/dispatch"
)

// The event with which a state machine asks for approval.
const (
	ApprovalSource     = "switchyard"
	ApprovalDetailType = "Approval requested"
)

// DecodeApproval reads an EventBridge event with which a state machine asks for
// approval, as its Task state arn:aws:states:::events:putEvents.waitForTaskToken
// has it sent. Which execution asks is said by its detail or, where that says
// nothing, by its resources, to which Step Functions adds the execution's ARN. No
// error shows the token.
func DecodeApproval(data []byte) (dispatch.Ask, error) {
	var e struct {
		DetailType string    `json:"detail-type"`
		Source     string    `json:"source"`
		Time       time.Time `json:"time"`
		Resources  []string  `json:"resources"`
		Detail     struct {
			Token       string   `json:"token"`
			Execution   string   `json:"execution"`
			Title       string   `json:"title"`
			Commit      string   `json:"commit"`
			Repository  string   `json:"repository"`
			Environment string   `json:"environment"`
			AskedBy     string   `json:"asked_by"`
			Approvers   []string `json:"approvers"`
			Diff        string   `json:"diff"`
			ExpiresIn   float64  `json:"expires_in"`
		} `json:"detail"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return dispatch.Ask{}, fmt.Errorf("decode approval: %v", err)
	}
	if e.Source != ApprovalSource || e.DetailType != ApprovalDetailType {
		return dispatch.Ask{}, fmt.Errorf("decode approval: detail-type %q from source %q, expected %q from %q", e.DetailType, e.Source, ApprovalDetailType, ApprovalSource)
	}
	d := &e.Detail
	arn := d.Execution
	for _, r := range e.Resources {
		if arn == "" && strings.Contains(r, ":execution:") {
			arn = r
		}
	}
	switch {
	case d.Token == "":
		return dispatch.Ask{}, fmt.Errorf("decode approval: detail.token is missing: the Task state gives it as $$.Task.Token")
	case arn == "":
		return dispatch.Ask{}, fmt.Errorf("decode approval: detail.execution is missing: the Task state gives it as $$.Execution.Id")
	case d.ExpiresIn < 0 || d.ExpiresIn > maxExpirySeconds:
		return dispatch.Ask{}, fmt.Errorf("decode approval: detail.expires_in is %v: a number of seconds up to a year is expected", d.ExpiresIn)
	}
	return dispatch.Ask{
		Token: d.Token, ExecutionARN: arn, Title: d.Title, AskedBy: d.AskedBy, Approvers: d.Approvers, Diff: d.Diff,
		Commit: d.Commit, Repository: d.Repository, Environment: d.Environment,
		At: e.Time, ExpiresIn: time.Duration(d.ExpiresIn * float64(time.Second)),
	}, nil
}

// maxExpirySeconds is how long an execution can run at most, and more.
const maxExpirySeconds = 366 * 24 * 3600
