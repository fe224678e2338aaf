// Package journaltest says what a [dispatch.Journal] must do. Every
// implementation runs the same suite.
package journaltest

import (
	"testing"

	"switchyard/dispatch"
)

// Run runs the suite. open returns an empty journal, which it closes itself
// when the test ends.
func Run(t *testing.T, open func(t *testing.T) dispatch.Journal) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"AppendRecognisesDeliveries", appendRecognises},
		{"AppendTellsBodiesApart", appendTellsBodiesApart},
		{"AppendIsSafeForConcurrentUse", appendConcurrently},
		{"PendingKeepsOrder", pendingKeepsOrder},
		{"ExpandRefusesToSkip", expandRefusesToSkip},
		{"ExpandTwiceChangesNothing", expandTwice},
		{"FirstRequestWins", firstRequestWins},
		{"ReopenExpandsAgain", reopen},
		{"FormerIdentityCounts", formerIdentity},
		{"RevisitsRunAgain", revisits},
		{"OnlyARefsOwnCommitsRevisit", ownCommits},
		{"RevisitsHappenOnce", revisitOnce},
		{"StaleMovesLeaveTheTip", staleMoves},
		{"DeletedAndPushedAgain", recreated},
		{"ClosedAndReopened", reopened},
		{"CommitsAreRemembered", commitFacts},
		{"CommitsHaveHolders", commitHolders},
		{"AuditsKeepTheirState", auditState},
		{"DeliveriesAreSetAside", setAside},
		{"ALaneKeepsItsOrder", laneKeepsOrder},
		{"CommandsWaitApart", commandsWaitApart},
		{"LabelsThatAreGivenAgainStay", labelsThatAreGivenAgain},
		{"DueIsFirstInFirstOut", dueOrder},
		{"HastenBringsForward", hasten},
		{"UncountedFailuresPutOffNoStop", uncounted},
		{"RequestsReachTheirEnd", lifecycle},
		{"RecordsOutOfPlaceChangeNothing", outOfPlace},
		{"HintsMustMatch", hintsMustMatch},
		{"AdmitIsFirstInFirstOutPerEnvironment", admit},
		{"NewerSupersedesOlder", supersede},
		{"SupersedingStaysInItsLane", lanes},
		{"StopByState", stop},
		{"RedriveOfTheDead", redrive},
		{"RedriveOfWhatFailed", redriveFailed},
		{"AnEarlierEndDoesNotCountAgain", earlierEnds},
		{"RedrivesAreWithdrawn", withdrawals},
		{"RerunCountsAttempts", rerun},
		{"CommandsActOnce", commands},
		{"AnswersWaitUntilGiven", answers},
		{"ApprovalsAreDecided", approvalsAreDecided},
		{"DecisionsAreTold", decisionsAreTold},
		{"ApprovalsExpire", approvalsExpire},
		{"AsksBeforeTheStartIsKnown", asksBeforeTheStartIsKnown},
		{"WhatIsLive", whatIsLive},
		{"CommandsDecide", commandsDecide},
		{"StatusesCoalesce", statusesCoalesce},
		{"StatusesAreToldAgainOnPullRequests", statusesAreToldAgain},
		{"StatusesNewestFirst", statusesNewestFirst},
		{"StatusesOfProgress", statusesOfProgress},
		{"StatusesOnlyWhereWanted", statusesOnlyWhereWanted},
		{"StatusesByEnvironment", statusesByEnvironment},
		{"ListsFilterAndPage", lists},
		{"CommitsAreSearched", commitsAreSearched},
		{"WhatIsLeftOutIsListed", leftOutIsListed},
		{"PruneKeepsUnfinishedWork", prune},
		{"NumbersAreNotUsedTwice", numbers},
		{"ContextBoundsTheWait", contextBounds},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, &fixture{t: t, j: open(t), now: epoch}) })
	}
}
