<?php
// Roundcube's password plugin, driver poppassd, with gatepost: /etc/roundcube/plugins/password/config.inc.php

$config['password_driver'] = 'poppassd';
$config['password_pop_host'] = '127.0.0.1';
$config['password_pop_port'] = 106; // where gatepost-poppassd.socket opens it; without configuration it is 1106

// gatepost judges the new password, and says in the page all that it misses.
$config['password_confirm_current'] = true;
$config['password_minimum_length'] = 0;
$config['password_minimum_score'] = 0;
