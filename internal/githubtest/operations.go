package githubtest

// operations are the calls that the stand-in serves, by the method and path that
// GitHub's description has them under. What each needs is from "Permissions
// required for GitHub Apps" and "… for fine-grained personal access tokens".
var operations map[string]operation

func init() { //nolint:gochecknoinits // it refers to methods that refer to it
	operations = map[string]operation{
		"GET /rate_limit":                                                                         {needs: free, serve: (*Server).rateLimit},
		"GET /users/{username}":                                                                   {serve: (*Server).getPerson},
		"GET /user":                                                                               {serve: (*Server).getUser},
		"GET /repos/{owner}/{repo}":                                                               {needs: "metadata=read", serve: (*Server).getRepository},
		"GET /repos/{owner}/{repo}/commits":                                                       {needs: "contents=read", serve: (*Server).listCommits},
		"GET /repos/{owner}/{repo}/commits/{ref}":                                                 {needs: "contents=read", serve: (*Server).getCommit},
		"GET /repos/{owner}/{repo}/commits/{ref}/status":                                          {needs: "statuses=read", serve: (*Server).combinedStatus},
		"GET /repos/{owner}/{repo}/commits/{ref}/statuses":                                        {needs: "statuses=read", serve: (*Server).listStatuses},
		"GET /repos/{owner}/{repo}/commits/{ref}/check-runs":                                      {needs: "checks=read", serve: (*Server).listChecks},
		"GET /repos/{owner}/{repo}/compare/{basehead...}":                                         {needs: "contents=read", serve: (*Server).compare},
		"GET /repos/{owner}/{repo}/branches":                                                      {needs: "contents=read", serve: (*Server).listBranches},
		"GET /repos/{owner}/{repo}/branches/{branch}":                                             {needs: "contents=read", serve: (*Server).getBranch},
		"GET /repos/{owner}/{repo}/rules/branches/{branch}":                                       {needs: "metadata=read", serve: (*Server).getRules},
		"POST /repos/{owner}/{repo}/statuses/{sha}":                                               {needs: "statuses=write", creates: true, serve: (*Server).createStatus},
		"GET /repos/{owner}/{repo}/pulls":                                                         {needs: "pull_requests=read", serve: (*Server).listPulls},
		"GET /repos/{owner}/{repo}/pulls/{pull_number}":                                           {needs: "pull_requests=read", serve: (*Server).getPull},
		"GET /repos/{owner}/{repo}/pulls/{pull_number}/commits":                                   {needs: "pull_requests=read", serve: (*Server).listPullCommits},
		"GET /repos/{owner}/{repo}/collaborators/{username}/permission":                           {needs: "metadata=read", serve: (*Server).getPermission},
		"GET /repos/{owner}/{repo}/issues/{issue_number}/comments":                                {needs: "pull_requests=read", serve: (*Server).listComments},
		"POST /repos/{owner}/{repo}/issues/{issue_number}/comments":                               {needs: "pull_requests=write", creates: true, serve: (*Server).createComment},
		"DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}":                        {needs: "pull_requests=write", serve: (*Server).removeLabel},
		"POST /repos/{owner}/{repo}/check-runs":                                                   {needs: "checks=write", app: true, creates: true, serve: (*Server).createCheck},
		"GET /repos/{owner}/{repo}/check-runs/{check_run_id}":                                     {needs: "checks=read", serve: (*Server).getCheck},
		"PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}":                                   {needs: "checks=write", app: true, creates: true, serve: (*Server).updateCheck},
		"GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations":                         {needs: "checks=read", serve: (*Server).listAnnotations},
		"GET /repos/{owner}/{repo}/hooks":                                                         {needs: "repository_hooks=read", serve: (*Server).listHooks},
		"POST /repos/{owner}/{repo}/hooks":                                                        {needs: "repository_hooks=write", serve: (*Server).createHook},
		"GET /repos/{owner}/{repo}/hooks/{hook_id}":                                               {needs: "repository_hooks=read", serve: (*Server).getHook},
		"PATCH /repos/{owner}/{repo}/hooks/{hook_id}":                                             {needs: "repository_hooks=write", serve: (*Server).updateHook},
		"DELETE /repos/{owner}/{repo}/hooks/{hook_id}":                                            {needs: "repository_hooks=write", serve: (*Server).deleteHook},
		"POST /repos/{owner}/{repo}/hooks/{hook_id}/pings":                                        {needs: "repository_hooks=read", serve: (*Server).pingHook},
		"POST /repos/{owner}/{repo}/hooks/{hook_id}/tests":                                        {needs: "repository_hooks=read", serve: (*Server).testHook},
		"GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries":                                    {needs: "repository_hooks=read", serve: (*Server).listDeliveries},
		"GET /repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}":                      {needs: "repository_hooks=read", serve: (*Server).getDelivery},
		"POST /repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts":            {needs: "repository_hooks=write", serve: (*Server).redeliver},
		"GET /orgs/{org}/hooks":                                                                   {needs: "organization_hooks=read", serve: (*Server).listHooks},
		"GET /orgs/{org}/hooks/{hook_id}/deliveries":                                              {needs: "organization_hooks=read", serve: (*Server).listDeliveries},
		"POST /orgs/{org}/hooks/{hook_id}/deliveries/{delivery_id}/attempts":                      {needs: "organization_hooks=write", serve: (*Server).redeliver},
		"GET /repos/{owner}/{repo}/branches/{branch}/protection/required_status_checks":           {needs: "administration=read", serve: (*Server).getRequired},
		"PATCH /repos/{owner}/{repo}/branches/{branch}/protection/required_status_checks":         {needs: "administration=write", serve: (*Server).updateRequired},
		"POST /repos/{owner}/{repo}/branches/{branch}/protection/required_status_checks/contexts": {needs: "administration=write", serve: (*Server).addContexts},
		"GET /app":                                                {jwt: true, serve: (*Server).getApp},
		"GET /app/hook/config":                                    {jwt: true, serve: (*Server).getAppHook},
		"GET /app/hook/deliveries":                                {jwt: true, serve: (*Server).listDeliveries},
		"GET /app/hook/deliveries/{delivery_id}":                  {jwt: true, serve: (*Server).getDelivery},
		"POST /app/hook/deliveries/{delivery_id}/attempts":        {jwt: true, serve: (*Server).redeliver},
		"GET /repos/{owner}/{repo}/installation":                  {jwt: true, serve: (*Server).getInstallation},
		"POST /app/installations/{installation_id}/access_tokens": {jwt: true, serve: (*Server).createToken},
	}
}
