package api_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"switchyard/asl/api"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

// named is a definition that gives out a name.
func named(name string) string {
	return `{"StartAt":"P","States":{"P":{"Type":"Pass","Result":"` + name + `","End":true}}}`
}

// endOf waits for the end of an execution.
func endOf(t *testing.T, c *sfn.Client, arn *string) *sfn.DescribeExecutionOutput {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		d, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: arn})
		if err != nil {
			t.Fatal(err)
		}
		if d.Status != types.ExecutionStatusRunning {
			return d
		}
		<-tick.C
	}
	t.Fatalf("%s does not end", *arn)
	return nil
}

func versionsOf(t *testing.T, c *sfn.Client, machine *string, page int32) (numbers []string) {
	t.Helper()
	p := sfn.ListStateMachineVersionsInput{StateMachineArn: machine, MaxResults: page}
	for {
		out, err := c.ListStateMachineVersions(t.Context(), &p)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range out.StateMachineVersions {
			if v.CreationDate == nil {
				t.Errorf("%s has no date", *v.StateMachineVersionArn)
			}
			numbers = append(numbers, strings.TrimPrefix(*v.StateMachineVersionArn, *machine+":"))
		}
		if p.NextToken = out.NextToken; p.NextToken == nil {
			return numbers
		}
	}
}

func TestVersionsThroughTheSDK(t *testing.T) {
	c, ctx := client(serve(t).Transport(), "http://engine.invalid"), t.Context()
	created, err := c.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: aws.String("n"), RoleArn: aws.String(role), Definition: aws.String(named("one")), Publish: true, VersionDescription: aws.String("first"),
	})
	if err != nil {
		t.Fatal(err)
	}
	arn := created.StateMachineArn
	if got := aws.ToString(created.StateMachineVersionArn); got != *arn+":1" {
		t.Errorf("creation published %q", got)
	}
	again, err := c.PublishStateMachineVersion(ctx, &sfn.PublishStateMachineVersionInput{StateMachineArn: arn, RevisionId: aws.String("INITIAL")})
	if err != nil || *again.StateMachineVersionArn != *arn+":1" {
		t.Errorf("the same revision again: %+v, %v; want version 1", again, err)
	}
	updated, err := c.UpdateStateMachine(ctx, &sfn.UpdateStateMachineInput{StateMachineArn: arn, Definition: aws.String(named("two")), Publish: true})
	if err != nil || aws.ToString(updated.StateMachineVersionArn) != *arn+":2" || updated.RevisionId == nil {
		t.Fatalf("update: %+v, %v", updated, err)
	}
	if out, err := c.UpdateStateMachine(ctx, &sfn.UpdateStateMachineInput{StateMachineArn: arn, Publish: true}); err != nil ||
		aws.ToString(out.StateMachineVersionArn) != *arn+":2" || aws.ToString(out.RevisionId) != *updated.RevisionId {
		t.Errorf("publish of nothing new: %+v, %v; want version 2 of the same revision", out, err)
	}
	if _, err := c.DeleteStateMachineVersion(ctx, &sfn.DeleteStateMachineVersionInput{StateMachineVersionArn: aws.String(*arn + ":2")}); err != nil {
		t.Fatal(err)
	}
	if out, err := c.PublishStateMachineVersion(ctx, &sfn.PublishStateMachineVersionInput{StateMachineArn: arn, Description: aws.String("third"), RevisionId: updated.RevisionId}); err != nil || *out.StateMachineVersionArn != *arn+":3" {
		t.Errorf("after a deletion: %+v, %v; want version 3", out, err)
	}
	if _, err := c.UpdateStateMachine(ctx, &sfn.UpdateStateMachineInput{StateMachineArn: arn, Definition: aws.String(named("now"))}); err != nil {
		t.Fatal(err)
	}
	_, err = c.PublishStateMachineVersion(ctx, &sfn.PublishStateMachineVersionInput{StateMachineArn: arn, RevisionId: updated.RevisionId})
	if conflict := (*types.ConflictException)(nil); !errors.As(err, &conflict) || !strings.HasPrefix(conflict.ErrorMessage(), "Failed to publish the State Machine version for revision "+*updated.RevisionId) {
		t.Errorf("publish of a former revision: %v, want ConflictException", err)
	}
	for page := range int32(3) {
		if d := cmp.Diff([]string{"3", "1"}, versionsOf(t, c, arn, page)); d != "" {
			t.Errorf("versions in pages of %d: %s", page, d)
		}
	}
	for qualifier, want := range map[string]string{":1": "one", ":3": "two", "": "now"} {
		started, err := c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(*arn + qualifier), Name: aws.String("x" + want)})
		if err != nil {
			t.Fatal(err)
		}
		d := endOf(t, c, started.ExecutionArn)
		if aws.ToString(d.Output) != `"`+want+`"` || aws.ToString(d.StateMachineArn) != *arn || d.StateMachineAliasArn != nil ||
			(qualifier == "") != (d.StateMachineVersionArn == nil) || d.StateMachineVersionArn != nil && *d.StateMachineVersionArn != *arn+qualifier {
			t.Errorf("%q: output %s, machine %s, version %v", qualifier, aws.ToString(d.Output), *d.StateMachineArn, d.StateMachineVersionArn)
		}
		of, err := c.DescribeStateMachineForExecution(ctx, &sfn.DescribeStateMachineForExecutionInput{ExecutionArn: started.ExecutionArn})
		if err != nil || *of.Definition != named(want) {
			t.Errorf("%q: runs %+v, %v", qualifier, of, err)
		}
		m, err := c.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(*arn + qualifier)})
		if err != nil || *m.Definition != named(want) || *m.StateMachineArn != *arn+qualifier ||
			aws.ToString(m.Description) != map[string]string{":1": "first", ":3": "third"}[qualifier] {
			t.Errorf("%q described as %+v, %v", qualifier, m, err)
		}
		list, err := c.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(*arn + qualifier)})
		if err != nil || qualifier != "" && (len(list.Executions) != 1 || aws.ToString(list.Executions[0].StateMachineVersionArn) != *arn+qualifier) {
			t.Errorf("%q: executions %+v, %v", qualifier, list, err)
		}
	}
}

func TestAliasesThroughTheSDK(t *testing.T) {
	var random float64
	e, err := engine.New(store.NewMemory(), engine.Config{}, engine.WithRandom(func() float64 { return random }))
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := client(serveEngine(t, e).Transport(), "http://engine.invalid"), t.Context()
	created, err := c.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{Name: aws.String("n"), RoleArn: aws.String(role), Definition: aws.String(named("one")), Publish: true})
	if err != nil {
		t.Fatal(err)
	}
	arn := created.StateMachineArn
	if _, err := c.UpdateStateMachine(ctx, &sfn.UpdateStateMachineInput{StateMachineArn: arn, Definition: aws.String(named("two")), Publish: true}); err != nil {
		t.Fatal(err)
	}
	version := func(n int) *string { return aws.String(fmt.Sprint(*arn, ":", n)) }
	route := func(n int, weight int32) types.RoutingConfigurationListItem {
		return types.RoutingConfigurationListItem{StateMachineVersionArn: version(n), Weight: weight}
	}
	in := &sfn.CreateStateMachineAliasInput{Name: aws.String("PROD"), Description: aws.String("d"), RoutingConfiguration: []types.RoutingConfigurationListItem{route(1, 100)}}
	prod, err := c.CreateStateMachineAlias(ctx, in)
	if err != nil || *prod.StateMachineAliasArn != *arn+":PROD" {
		t.Fatalf("%+v, %v", prod, err)
	}
	if again, err := c.CreateStateMachineAlias(ctx, in); err != nil || !again.CreationDate.Equal(*prod.CreationDate) {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	in.RoutingConfiguration = []types.RoutingConfigurationListItem{route(2, 100)}
	_, err = c.CreateStateMachineAlias(ctx, in)
	if conflict := (*types.ConflictException)(nil); !errors.As(err, &conflict) {
		t.Errorf("another alias of the name: %v, want ConflictException", err)
	}
	if _, err := c.UpdateStateMachineAlias(ctx, &sfn.UpdateStateMachineAliasInput{StateMachineAliasArn: prod.StateMachineAliasArn,
		RoutingConfiguration: []types.RoutingConfigurationListItem{route(1, 30), route(2, 70)}}); err != nil {
		t.Fatal(err)
	}
	d, err := c.DescribeStateMachineAlias(ctx, &sfn.DescribeStateMachineAliasInput{StateMachineAliasArn: prod.StateMachineAliasArn})
	if err != nil || *d.Name != "PROD" || *d.Description != "d" || len(d.RoutingConfiguration) != 2 || d.RoutingConfiguration[1].Weight != 70 {
		t.Errorf("described as %+v, %v", d, err)
	}
	for at, want := range map[float64]int{0: 1, 0.2999: 1, 0.3001: 2, 0.9999: 2} {
		random = at
		x, err := c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: prod.StateMachineAliasArn, Name: aws.String(fmt.Sprint("x", int(at*10000)))})
		if err != nil {
			t.Fatal(err)
		}
		got := endOf(t, c, x.ExecutionArn)
		if *got.StateMachineVersionArn != *version(want) || *got.StateMachineAliasArn != *prod.StateMachineAliasArn || *got.Output != map[int]string{1: `"one"`, 2: `"two"`}[want] {
			t.Errorf("at %v: version %s, alias %s, output %s; want version %d", at, *got.StateMachineVersionArn, *got.StateMachineAliasArn, *got.Output, want)
		}
	}
	if _, err := c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: version(1), Name: aws.String("direct")}); err != nil {
		t.Fatal(err)
	}
	for list, want := range map[string]int{*prod.StateMachineAliasArn: 4, *version(1): 3, *version(2): 2, *arn: 5} {
		found := 0
		p := sfn.NewListExecutionsPaginator(c, &sfn.ListExecutionsInput{StateMachineArn: &list, MaxResults: 2})
		for p.HasMorePages() {
			page, err := p.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			found += len(page.Executions)
		}
		if found != want {
			t.Errorf("%s has %d executions, want %d", list, found, want)
		}
	}
	if _, err := c.CreateStateMachineAlias(ctx, &sfn.CreateStateMachineAliasInput{Name: aws.String("beta"), RoutingConfiguration: []types.RoutingConfigurationListItem{route(2, 100)}}); err != nil {
		t.Fatal(err)
	}
	for of, want := range map[string]int{*arn: 2, *version(1): 1, *version(2): 2} {
		list, err := c.ListStateMachineAliases(ctx, &sfn.ListStateMachineAliasesInput{StateMachineArn: &of})
		if err != nil || len(list.StateMachineAliases) != want {
			t.Errorf("aliases of %s: %+v, %v; want %d", of, list, err, want)
		}
	}
	first, err := c.ListStateMachineAliases(ctx, &sfn.ListStateMachineAliasesInput{StateMachineArn: arn, MaxResults: 1})
	if err != nil || first.NextToken == nil {
		t.Fatalf("first page: %+v, %v", first, err)
	}
	second, err := c.ListStateMachineAliases(ctx, &sfn.ListStateMachineAliasesInput{StateMachineArn: arn, MaxResults: 1, NextToken: first.NextToken})
	if err != nil || len(second.StateMachineAliases) != 1 || second.NextToken != nil || *second.StateMachineAliases[0].StateMachineAliasArn == *first.StateMachineAliases[0].StateMachineAliasArn {
		t.Errorf("second page: %+v, %v", second, err)
	}
	_, err = c.DeleteStateMachineVersion(ctx, &sfn.DeleteStateMachineVersionInput{StateMachineVersionArn: version(1)})
	if conflict := (*types.ConflictException)(nil); !errors.As(err, &conflict) || !strings.HasSuffix(conflict.ErrorMessage(), "this version: [PROD]") {
		t.Errorf("deletion of a version in use: %v", err)
	}
	for range 2 {
		if _, err := c.DeleteStateMachineAlias(ctx, &sfn.DeleteStateMachineAliasInput{StateMachineAliasArn: prod.StateMachineAliasArn}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = c.DescribeStateMachineAlias(ctx, &sfn.DescribeStateMachineAliasInput{StateMachineAliasArn: prod.StateMachineAliasArn})
	if missing := (*types.ResourceNotFound)(nil); !errors.As(err, &missing) || aws.ToString(missing.ResourceName) != *prod.StateMachineAliasArn {
		t.Errorf("a deleted alias: %v, want ResourceNotFound", err)
	}
}

func TestTagsThroughTheSDK(t *testing.T) {
	c, ctx := client(serve(t).Transport(), "http://engine.invalid"), t.Context()
	tag := func(k, v string) types.Tag { return types.Tag{Key: &k, Value: &v} }
	created, err := c.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{Name: aws.String("n"), RoleArn: aws.String(role), Definition: aws.String(passing), Tags: []types.Tag{tag("a", "1"), tag("b", "")}})
	if err != nil {
		t.Fatal(err)
	}
	arn := created.StateMachineArn
	if _, err := c.TagResource(ctx, &sfn.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{tag("c", "3"), tag("a", "one")}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UntagResource(ctx, &sfn.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"b", "none"}}); err != nil {
		t.Fatal(err)
	}
	list, err := c.ListTagsForResource(ctx, &sfn.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || len(list.Tags) != 2 || *list.Tags[0].Key != "a" || *list.Tags[0].Value != "one" || *list.Tags[1].Key != "c" {
		t.Errorf("tags %+v, %v; want a=one, c=3", list, err)
	}
	var many []types.Tag
	for i := range 49 {
		many = append(many, tag(fmt.Sprint("k", i), "v"))
	}
	_, err = c.TagResource(ctx, &sfn.TagResourceInput{ResourceArn: arn, Tags: many})
	if tooMany := (*types.TooManyTags)(nil); !errors.As(err, &tooMany) || aws.ToString(tooMany.ResourceName) != *arn {
		t.Errorf("51 tags: %v, want TooManyTags", err)
	}
	if _, err := c.TagResource(ctx, &sfn.TagResourceInput{ResourceArn: arn, Tags: many[:48]}); err != nil {
		t.Errorf("50 tags: %v", err)
	}
	activity, err := c.CreateActivity(ctx, &sfn.CreateActivityInput{Name: aws.String("a"), Tags: []types.Tag{tag("a", "1")}})
	if err != nil {
		t.Fatal(err)
	}
	list, err = c.ListTagsForResource(ctx, &sfn.ListTagsForResourceInput{ResourceArn: activity.ActivityArn})
	if err != nil || len(list.Tags) != 1 || *list.Tags[0].Value != "1" {
		t.Errorf("tags of the activity: %+v, %v", list, err)
	}
	if _, err := c.DeleteActivity(ctx, &sfn.DeleteActivityInput{ActivityArn: activity.ActivityArn}); err != nil {
		t.Fatal(err)
	}
	_, err = c.ListTagsForResource(ctx, &sfn.ListTagsForResourceInput{ResourceArn: activity.ActivityArn})
	if missing := (*types.ResourceNotFound)(nil); !errors.As(err, &missing) {
		t.Errorf("tags of a deleted activity: %v, want ResourceNotFound", err)
	}
}

func TestVersionsAliasesAndTagsSurviveRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	session := func(f func(s *api.Server)) {
		t.Helper()
		st, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		e, err := engine.New(st, engine.Config{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := api.New(e)
		if err != nil {
			t.Fatal(err)
		}
		f(s)
	}
	arn := machineARN + "n"
	read := map[string]m{
		"DescribeStateMachine":      {"stateMachineArn": arn + ":1"},
		"ListStateMachineVersions":  {"stateMachineArn": arn},
		"DescribeStateMachineAlias": {"stateMachineAliasArn": arn + ":live"},
		"ListStateMachineAliases":   {"stateMachineArn": arn + ":1"},
		"ListTagsForResource":       {"resourceArn": arn},
		"DescribeExecution":         {"executionArn": strings.Replace(arn, "stateMachine", "execution", 1) + ":x"},
	}
	before := map[string]any{}
	session(func(s *api.Server) {
		do(t, s, "CreateStateMachine", m{"name": "n", "definition": waiting, "roleArn": role, "publish": true, "versionDescription": "first", "tags": []m{{"key": "k", "value": "v"}}})
		do(t, s, "CreateStateMachineAlias", m{"name": "live", "routingConfiguration": []m{{"stateMachineVersionArn": arn + ":1", "weight": 100}}})
		do(t, s, "StartExecution", m{"stateMachineArn": arn + ":live", "name": "x"})
		do(t, s, "UpdateStateMachine", m{"stateMachineArn": arn, "definition": passing})
		for action, in := range read {
			before[action] = do(t, s, action, in)
		}
	})
	session(func(s *api.Server) {
		for action, in := range read {
			if d := cmp.Diff(before[action], any(do(t, s, action, in))); d != "" {
				t.Errorf("%s: before and after: %s", action, d)
			}
		}
		if v := do(t, s, "PublishStateMachineVersion", m{"stateMachineArn": arn}); v["stateMachineVersionArn"] != arn+":2" {
			t.Errorf("the next version is %v", v)
		}
	})
	// A machine that is made again has nothing of the one before.
	session(func(s *api.Server) {
		do(t, s, "CreateStateMachine", m{"name": "o", "definition": passing, "roleArn": role, "publish": true, "tags": []m{{"key": "k", "value": "v"}}})
		do(t, s, "CreateStateMachineAlias", m{"name": "live", "routingConfiguration": []m{{"stateMachineVersionArn": machineARN + "o:1", "weight": 100}}})
		do(t, s, "DeleteStateMachine", m{"stateMachineArn": machineARN + "o"})
		do(t, s, "CreateStateMachine", m{"name": "o", "definition": passing, "roleArn": role})
		for action, key := range map[string]string{"ListStateMachineVersions": "stateMachineVersions", "ListStateMachineAliases": "stateMachineAliases"} {
			if got := do(t, s, action, m{"stateMachineArn": machineARN + "o"})[key]; len(got.([]any)) != 0 {
				t.Errorf("%s: %v", action, got)
			}
		}
		if got := do(t, s, "ListTagsForResource", m{"resourceArn": machineARN + "o"})["tags"]; len(got.([]any)) != 0 {
			t.Errorf("tags %v", got)
		}
	})
}
