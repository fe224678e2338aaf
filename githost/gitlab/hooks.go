package gitlab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	gl "gitlab.com/gitlab-org/api/client-go"

	"switchyard/dispatch"
	"switchyard/githost"
)

// hookEvents are what a hook of ours tells of, by GitLab's names.
var hookEvents = []string{"merge_requests_events", "note_events", "push_events", "tag_push_events"}

// HookEvents implements [githost.Hooks].
func (c *Client) HookEvents() []string { return slices.Clone(hookEvents) }

// Hooks implements [githost.Hooks]. It lists the project's own webhooks; those of
// groups above it, and system hooks, GitLab shows to others.
func (c *Client) Hooks(ctx context.Context, repository string) ([]githost.Hook, error) {
	q, err := c.about(repository)
	if err != nil {
		return nil, err
	}
	found, err := q.hooks(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]githost.Hook, len(found))
	for i, h := range found {
		all[i] = hook(h)
	}
	return all, nil
}

func (q *call) hooks(ctx context.Context) ([]*gl.ProjectHook, error) {
	var all []*gl.ProjectHook
	opts := &gl.ListProjectHooksOptions{ListOptions: gl.ListOptions{PerPage: pageSize, Page: 1}}
	for opts.Page != 0 {
		page, response, err := q.api.Projects.ListProjectHooks(q.repository, opts, gl.WithContext(ctx))
		if err != nil {
			return nil, q.verdict(ctx, "list the webhooks", q.repository, toAdmin, err)
		}
		all = append(all, page...)
		opts.Page = response.NextPage
	}
	return all, nil
}

// executable is GitLab's word for a hook that is not disabled.
const executable = "executable"

func hook(h *gl.ProjectHook) githost.Hook {
	made := githost.Hook{ID: strconv.FormatInt(h.ID, 10), URL: h.URL, Active: h.AlertStatus == "" || h.AlertStatus == executable}
	for name, on := range map[string]bool{
		"push_events": h.PushEvents, "tag_push_events": h.TagPushEvents, "merge_requests_events": h.MergeRequestsEvents,
		"note_events": h.NoteEvents, "confidential_note_events": h.ConfidentialNoteEvents,
		"issues_events": h.IssuesEvents, "confidential_issues_events": h.ConfidentialIssuesEvents,
		"job_events": h.JobEvents, "pipeline_events": h.PipelineEvents, "wiki_page_events": h.WikiPageEvents,
		"deployment_events": h.DeploymentEvents, "releases_events": h.ReleasesEvents, "emoji_events": h.EmojiEvents,
		"feature_flag_events": h.FeatureFlagEvents, "resource_access_token_events": h.ResourceAccessTokenEvents,
		"repository_update_events": h.RepositoryUpdateEvents, "milestone_events": h.MilestoneEvents, "vulnerability_events": h.VulnerabilityEvents,
	} {
		if on {
			made.Events = append(made.Events, name)
		}
	}
	slices.Sort(made.Events)
	switch {
	case h.PushEventsBranchFilter != "":
		made.Trouble = fmt.Sprintf("it tells of branches %q only; take its filter of branches away", h.PushEventsBranchFilter)
	case made.Active:
	case h.DisabledUntil != nil:
		made.Trouble = "GitLab disabled it until " + h.DisabledUntil.UTC().Format("2006-01-02 15:04 UTC") + ", after four deliveries in a row failed; a test that arrives enables it"
	default:
		made.Trouble = "GitLab disabled it after deliveries failed; a test that arrives enables it"
	}
	return made
}

// CreateHook implements [githost.Hooks].
func (c *Client) CreateHook(ctx context.Context, repository string, h githost.Hook) (githost.Hook, error) {
	q, err := c.about(repository)
	if err != nil {
		return githost.Hook{}, err
	}
	switch {
	case h.Secret == "":
		return githost.Hook{}, &dispatch.PermanentError{Err: errors.New("a webhook without a secret token would be refused")}
	case strings.HasPrefix(h.Secret, "whsec_"):
		// The API documents no parameter for it.
		return githost.Hook{}, &dispatch.PermanentError{Err: errors.New("GitLab takes a signing token in the project's settings only; create the webhook there, or by a secret token")}
	}
	made, _, err := c.api.Projects.AddProjectHook(repository, &gl.AddProjectHookOptions{
		URL: &h.URL, Token: &h.Secret, Name: gl.Ptr("Switchyard"), EnableSSLVerification: gl.Ptr(true),
		PushEvents: gl.Ptr(true), TagPushEvents: gl.Ptr(true), MergeRequestsEvents: gl.Ptr(true), NoteEvents: gl.Ptr(true),
	}, gl.WithContext(ctx))
	if err != nil {
		return githost.Hook{}, q.verdict(ctx, "create a webhook", repository, toAdmin, err)
	}
	return hook(made), nil
}

// RemoveHook implements [githost.Hooks].
func (c *Client) RemoveHook(ctx context.Context, repository, id string) error {
	q, n, err := c.aboutHook(repository, id)
	if err != nil {
		return err
	}
	if _, err := c.api.Projects.DeleteProjectHook(repository, n, gl.WithContext(ctx)); err != nil {
		return q.verdict(ctx, "remove webhook "+id, repository, toAdmin, err)
	}
	return nil
}

// TestHook implements [githost.Hooks]. The test is that of push events: it names
// the newest commits of the default branch, and starts nothing.
func (c *Client) TestHook(ctx context.Context, repository, id string) error {
	q, n, err := c.aboutHook(repository, id)
	if err != nil {
		return err
	}
	return q.test(ctx, n)
}

func (q *call) test(ctx context.Context, id int64) error {
	if _, err := q.api.Projects.TriggerTestProjectHook(q.repository, id, gl.ProjectHookEventPush, gl.WithContext(ctx)); err != nil {
		return q.verdict(ctx, fmt.Sprintf("test webhook %d", id), q.repository, toAdmin, err)
	}
	return nil
}

func (c *Client) aboutHook(repository, id string) (*call, int64, error) {
	q, err := c.about(repository)
	if err != nil {
		return nil, 0, err
	}
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil || n <= 0 {
		return nil, 0, &dispatch.PermanentError{Err: fmt.Errorf("%q is not the ID of a webhook of GitLab", id)}
	}
	return q, n, nil
}
