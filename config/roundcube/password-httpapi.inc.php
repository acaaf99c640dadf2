<?php
// Roundcube's password plugin, driver httpapi, with gatepost: /etc/roundcube/plugins/password/config.inc.php

$config['password_driver'] = 'httpapi';
$config['password_httpapi_url'] = 'http://127.0.0.1:8106/api/v1/password';
$config['password_httpapi_method'] = 'POST';
$config['password_httpapi_var_user'] = 'user';
$config['password_httpapi_var_curpass'] = 'current';
$config['password_httpapi_var_newpass'] = 'new';

// No other program's 200 counts as a change.
$config['password_httpapi_expect'] = '/"generation":\s*\d/';

// Without http_errors the driver sees every refusal as a connection that failed. Without a timeout it waits for ever.
$config['password_http_client'] = ['http_errors' => false, 'connect_timeout' => 2, 'timeout' => 15];

// The driver cannot show what a password misses, so Roundcube tells beforehand what it can of gatepost's default policy:
// eight characters, and with a score of 2 a digit and a special character. Where the domains have a policy without
// classes of characters, the score is 0.
$config['password_confirm_current'] = true;
$config['password_minimum_length'] = 8;
$config['password_minimum_score'] = 2;
