<?php

/**
 * Ends web sessions whose account has moved on: its password was changed elsewhere, everybody was logged out, the
 * account was disabled or removed.
 *
 * Each account of gatepost has a generation, a number that grows whenever something that was granted is void from then
 * on. A session keeps the number that was read just before its password was proven, and lives as long as it is the
 * account's. Whoever changes the password here proves the new one, and stays logged in.
 *
 * Trusts: gatepost, at the address and with the token of config.inc.php.
 * Fails:  where gatepost gives no answer, the request is put off with 503 and the session stays.
 * Limits: one call of gatepost for each request. A request that comes in while the same session is changing its
 *         password may end that session. Sessions of before the plugin was there end at their next request.
 */
class gatepost extends rcube_plugin
{
    public $task = '?(?!logout).*';

    /** Where the session keeps its generation. */
    private const KEPT = 'gatepost_generation';

    /** Of an account that is not there; no other has it. */
    private const GONE = -1;

    /** @var rcmail */
    private $rcmail;

    /** Whether the next IMAP login proves a password, and is not just one more with a password proven before. */
    private $proving;

    /** The generation before the last proof; null where it could not be read. */
    private $before;

    public function init()
    {
        $this->rcmail = rcmail::get_instance();
        $this->load_config();
        $this->proving = $this->rcmail->task == 'login';
        $this->add_hook('startup', [$this, 'end_if_outdated']);
        $this->add_hook('storage_connect', [$this, 'read_before_proof']);
        $this->add_hook('login_after', [$this, 'keep']);
        $this->add_hook('password_change', [$this, 'prove_new_password']);
    }

    public function end_if_outdated($arguments)
    {
        if (empty($_SESSION['user_id'])) {
            return $arguments;
        }
        $current = $this->generation($_SESSION['username']);
        if ($current === null) {
            rcube::raise_error(['code' => 503, 'message' => 'gatepost: a request was put off'], true, true);
        }
        if ($current !== ($_SESSION[self::KEPT] ?? null)) {
            $this->rcmail->kill_session();
        }

        return $arguments;
    }

    public function read_before_proof($arguments)
    {
        if ($this->proving) {
            $this->before = $this->generation($arguments['user']);
        }

        return $arguments;
    }

    public function keep($arguments)
    {
        $_SESSION[self::KEPT] = $this->before;

        return $arguments;
    }

    public function prove_new_password($arguments)
    {
        $this->proving = true;
        $storage = $this->rcmail->get_storage();
        $storage->close();
        $proven = $storage->connect(
            $_SESSION['storage_host'],
            $_SESSION['username'],
            $arguments['new_pass'],
            $_SESSION['storage_port'],
            $_SESSION['storage_ssl']
        );

        return $proven ? $this->keep($arguments) : $arguments;
    }

    /** The account's generation as it is now; null, and a line in the log, where gatepost does not say. */
    private function generation($user)
    {
        $config = $this->rcmail->config;
        $url = $config->get('gatepost_url') . '/accounts/' . rawurlencode($user) . '/generation';
        try {
            $client = $this->rcmail->get_http_client(['http_errors' => false, 'connect_timeout' => 2, 'timeout' => 5]);
            $token = ['Authorization' => 'Bearer ' . $config->get('gatepost_token')];
            $response = $client->request('GET', $url, ['headers' => $token]);
            $answer = json_decode($response->getBody(), true);
            if (is_int($answer['generation'] ?? null)) {
                return $answer['generation'];
            }
            if (($answer['code'] ?? null) === 'no-account') {
                return self::GONE;
            }
            $reason = 'it answered ' . $response->getStatusCode();
        }
        catch (Exception $exception) {
            $reason = $exception->getMessage();
        }
        rcube::raise_error(['code' => 503, 'message' => "gatepost: cannot read $url: $reason; see config.inc.php"], true);

        return null;
    }
}
