//go:build unix && !race

package pipelines_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

// serveItem is a DynamoDB with one item, as fast as memory. The others test that the
// semaphore's expressions mean there what they mean in a DynamoDB that we did not write.
func serveItem(t *testing.T) (url string) {
	t.Helper()
	var mu sync.Mutex
	var item attribute
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller has gone
		}
		mu.Lock()
		defer mu.Unlock()
		answer := map[string]any{}
		switch operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810."); operation {
		case "CreateTable":
		case "GetItem":
			answer["Item"] = item
		case "UpdateItem":
			var in updateInput
			if err := json.Unmarshal(body, &in); err != nil {
				t.Error(err)
			}
			after, held := in.apply(item)
			if !held {
				w.WriteHeader(http.StatusBadRequest)
				fmt.Fprint(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed"}`)
				return
			}
			item, answer["Attributes"] = after, after
		default:
			t.Errorf("%s is not expected to be called", operation)
		}
		fmt.Fprint(w, text(answer))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Of two hundred that come at once, some are stopped while they hold a slot. The others
// all get in, never more than three at a time.
func TestSemaphoreOfACrowd(t *testing.T) {
	t.Parallel()
	const limit, all = 3, 200
	r := newRig(t, limit, serveItem(t))
	stopped := map[string]bool{"c010": true, "c070": true, "c130": true, "c199": true}
	inside := make(chan string, all)
	var first sync.WaitGroup // the first three have come together
	first.Add(limit)
	var came atomic.Int32
	r.held.gate = func(ctx context.Context, name string) error {
		inside <- name
		if came.Add(1) <= limit {
			first.Done()
			first.Wait()
		}
		if stopped[name] {
			<-ctx.Done()
		}
		return ctx.Err()
	}
	arns := map[string]string{}
	for i := range all {
		name := fmt.Sprintf("c%03d", i)
		arns[name] = r.start(name)
	}
	for range all {
		if name := <-inside; stopped[name] {
			r.stop(arns[name])
		}
	}
	for name, arn := range arns {
		out := r.ends(arn)
		if want := map[bool]string{false: "SUCCEEDED", true: "ABORTED"}[stopped[name]]; string(out.Status) != want {
			t.Errorf("%s: %s %s, expected %s", name, out.Status, aws.ToString(out.Cause), want)
		}
	}
	if r.held.most != limit {
		t.Errorf("%d were inside, of a limit of %d", r.held.most, limit)
	}
	most := 0
	for _, arn := range arns {
		events := 0
		p := sfn.NewGetExecutionHistoryPaginator(r.sfn, &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, MaxResults: 1000})
		for p.HasMorePages() {
			page, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			events += len(page.Events)
		}
		most = max(most, events)
	}
	queued, holders := r.item()
	t.Logf("at most %d inside, %d events of one execution; %d are left in the queue, %d slots of stopped ones", r.held.most, most, len(queued), holders)
	if len(queued) > 0 || holders > len(stopped) {
		t.Errorf("left are %v and %d holders", queued, holders)
	}
}
